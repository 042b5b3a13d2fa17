#ifndef USP_H
#define USP_H
const char *usp_version(void);
#endif
