/* A C program with Python inside it: both use one loaded libusp. C makes a model; Python, through
 * the usp package, runs that same model over that same memory, and trains another for C. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "common.h"

static const char *script =
    "import ctypes\n"
    "import numpy as np\n"
    "import usp\n"
    "assert usp.threads() == 1, 'C set the threads of the library that Python loaded too'\n"
    "model = usp.ViT.borrow(address)\n"
    "x = np.frombuffer(pixels, np.float32).reshape(2, 1, 8, 8)\n"
    "scores = model.logits(x)\n"
    "trainer = usp.Trainer(model, rate=1e-3)\n"
    "loss = trainer.step(x, [0, 1])\n"
    "trained = trainer.model()\n"
    "print(f'Python: {model}, loss {loss:.3f}')\n"
    "handle = ctypes.cast(trained.handle, ctypes.c_void_p).value\n";

int main(void) {
    usp_model *model = NULL;
    TRY(usp_set_threads(1));
    TRY(usp_model_create("ViT", "grid=4 channels=1 width=32 depth=1 heads=2 classes=2", 1, &model));
    static float pixels[2 * 64], scores[4];
    usp_tensor x = images(pixels, 2, 1, 8, 8), y = {scores, {2, 2}, {0}, 2, USP_F32};
    TRY(usp_random_normal(3, &x));
    TRY(usp_vit_logits(model, &x, &y));

    Py_Initialize();
    PyObject *names = PyModule_GetDict(PyImport_AddModule("__main__"));
    PyDict_SetItemString(names, "address", PyLong_FromVoidPtr(model));
    PyDict_SetItemString(names, "pixels",
                         PyMemoryView_FromMemory((char *)pixels, sizeof pixels, PyBUF_READ));
    if (PyRun_SimpleString(script) != 0) return 1;

    /* Python's scores are C's, bit for bit; Python's trained model is a handle here. */
    PyRun_SimpleString("first = float(scores[0, 0])");
    double first = PyFloat_AsDouble(PyDict_GetItemString(names, "first"));
    usp_model *trained = PyLong_AsVoidPtr(PyDict_GetItemString(names, "handle"));
    printf("C: score %.6f, Python: %.6f; Python trained a %s\n", scores[0], first,
           usp_model_family(trained));
    int same = (float)first == scores[0] && usp_model_size(trained) == usp_model_size(model);
    Py_Finalize();
    usp_model_free(model);
    return same ? 0 : 1;
}
