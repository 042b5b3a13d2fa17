/* A host that loads the library, computes on several threads, and unloads it: workers that are
 * still awake must find their code. */
#define _DEFAULT_SOURCE
#include "usp.h"

#include <dlfcn.h>
#include <stdio.h>
#include <unistd.h>

int main(int count, char **arguments) {
    (void)count;
    for (int round = 0; round < 3; round++) {
        void *library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
        if (!library) return fprintf(stderr, "%s\n", dlerror()), 1;
        usp_status (*threads)(int32_t);
        usp_status (*create)(const char *, const char *, uint64_t, usp_model **);
        usp_status (*forward)(const usp_model *, const usp_tensor *, const usp_mae_options *,
                              float *, usp_tensor *, usp_tensor *);
        *(void **)&threads = dlsym(library, "usp_set_threads");
        *(void **)&create = dlsym(library, "usp_model_create");
        *(void **)&forward = dlsym(library, "usp_mae_forward");
        static float latents[4 * 4 * 28 * 28];
        usp_tensor images = {latents, {4, 4, 28, 28}, {0}, 4, USP_F32};
        usp_model *model = NULL;
        float loss = 0;
        if (threads(2) || create("MAE", NULL, 1, &model) ||
            forward(model, &images, NULL, &loss, NULL, NULL))
            return fprintf(stderr, "unload: a call failed\n"), 1;
        dlclose(library);
        usleep(20000);
    }
    printf("unload: three rounds\n");
    return 0;
}
