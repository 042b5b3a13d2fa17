/* Inspect a file: what it is, what it holds, and one array of it.
 *     inspect [FILE]   (without a file it makes one) */
#include "common.h"

int main(int count, char **arguments) {
    const char *path = count > 1 ? arguments[1] : "vit.safetensors";
    if (count < 2) {
        usp_model *model = NULL;
        TRY(usp_model_create("ViT", "grid=4 width=32 depth=2 heads=2 classes=10", 1, &model));
        TRY(usp_model_save(model, path, NULL));
        usp_model_free(model);
    }

    usp_checkpoint *checkpoint = NULL;
    TRY(usp_checkpoint_open(path, NULL, &checkpoint));

    /* The report's length first, then its text. */
    size_t length = 0;
    TRY(usp_checkpoint_report(checkpoint, NULL, 0, &length));
    char *text = malloc(length + 1);
    TRY(usp_checkpoint_report(checkpoint, text, length + 1, NULL));
    puts(text);
    free(text);

    const char *name = usp_checkpoint_name(checkpoint, 0);
    usp_tensor array;
    TRY(usp_checkpoint_tensor(checkpoint, name, &array));
    printf("the first array is %s, %s of rank %d\n", name, usp_dtype_name(array.dtype), array.rank);
    usp_checkpoint_free(checkpoint);
    return 0;
}
