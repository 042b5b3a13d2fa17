/* What the C tests share: a count of expectations, and tensors over C arrays. */
#ifndef CHECK_H
#define CHECK_H

#include "usp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern int checks, failures;

#define EXPECT(condition)                                                                    \
    do {                                                                                     \
        checks++;                                                                            \
        if (!(condition)) {                                                                  \
            failures++;                                                                      \
            printf("%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                   \
        }                                                                                    \
    } while (0)

/* The call gives this status, and unless it is USP_OK a message with this text. */
#define EXPECT_STATUS(call, expected, text)                                                  \
    do {                                                                                     \
        usp_status status_ = (call);                                                         \
        checks++;                                                                            \
        if (status_ != (expected) || (status_ != USP_OK && !strstr(usp_last_error(), text))) { \
            failures++;                                                                      \
            printf("%s:%d: %s gave %s: %s\n", __FILE__, __LINE__, #call,                     \
                   usp_status_name(status_), usp_last_error());                              \
        }                                                                                    \
    } while (0)

#define EXPECT_OK(call) EXPECT_STATUS(call, USP_OK, "")

static inline usp_tensor tensor(void *data, usp_dtype dtype, int rank, const int64_t *shape) {
    usp_tensor result;
    memset(&result, 0, sizeof result);
    result.data = data;
    result.rank = rank;
    result.dtype = dtype;
    for (int axis = 0; axis < rank && axis < USP_MAX_RANK; axis++) result.shape[axis] = shape[axis];
    return result;
}

#define SHAPE(...) (int)(sizeof((int64_t[]){__VA_ARGS__}) / 8), (int64_t[]){__VA_ARGS__}

/* A file of latents [samples, 4, 4, 4], drawn by a seed, with labels 0, 1, ... of so many classes. */
static inline void write_latents(const char *path, int samples, int classes, uint64_t seed) {
    enum { MOST = 16, VALUES_OF_ONE = 4 * 4 * 4 };
    static float values[MOST * VALUES_OF_ONE];
    int64_t labels[MOST];
    for (int i = 0; i < samples && i < MOST; i++) labels[i] = i % classes;
    const char *names[2] = {"latents", "labels"};
    usp_tensor arrays[2] = {tensor(values, USP_F32, SHAPE(samples, 4, 4, 4)),
                            tensor(labels, USP_I64, SHAPE(samples))};
    usp_checkpoint *file = NULL;
    EXPECT(samples <= MOST);
    EXPECT_OK(usp_random_normal(seed, &arrays[0]));
    EXPECT_OK(usp_checkpoint_create(names, arrays, 2, &file));
    EXPECT_OK(usp_checkpoint_save(file, path, NULL));
    usp_checkpoint_free(file);
}

void test_tensor(void);
void test_threads(void);
void test_checkpoint(void);
void test_transfer(void);
void test_diffusion(void);
void test_transport(void);
void test_model(void);
void test_mar(void);
void test_segmenter(void);
void test_trainer(void);
void test_alignment(void);
void test_augment(void);
void test_understand(void);
void test_run(void);
void test_recipe(void);
void test_story(void);

#endif
