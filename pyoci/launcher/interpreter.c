/*
 * The interpreter that the launcher runs where libpython could be linked in: Python, begun halfway.
 *
 * Half of what a `python3` does before its first line prepares the standard library: search paths, codecs,
 * text streams.  Commands that engines call need none of it.  So this program initialises the core only (PEP 587,
 * "multi-phase initialization"), runs pyoci/core.py, which is compiled into it, and finishes the rest the moment that
 * somebody asks for it.  See docs/adr/0014-core-interpreter.md.
 *
 * Called by launcher.c as PYTHON -I -S -Xpyoci BOOT ARGUMENT..., like the interpreter whose place it takes.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <marshal.h>
#include <errno.h>
#include <unistd.h>

#if PY_VERSION_HEX != EXPECTED_HEX
#error "headers and interpreter are of different versions"
#endif
#include "core_code.h" /* core_code: the marshalled code of pyoci/core.py and pyoci/boot.py, made at build time */

extern int _PySignal_Init(int install_signal_handlers); /* before the module _signal can be imported */

static void fail(const char *what, PyStatus status)
{
    dprintf(2, "pyoci: cannot start the interpreter: %s: %s\n", what, status.err_msg ? status.err_msg : "unknown");
    _exit(1);
}

static PyObject *finish(PyObject *self, PyObject *nothing)
{
    PyStatus status = _Py_InitializeMain();
    if (PyStatus_Exception(status))
        fail("the standard library", status);
    Py_RETURN_NONE;
}

/* Where an argument points to: an integer is itself, bytes and writable buffers are their storage, None is NULL. */
static int pointer_of(PyObject *argument, long *value)
{
    if (PyLong_Check(argument)) {
        *value = (long)PyLong_AsUnsignedLongMask(argument);
        return !PyErr_Occurred();
    }
    if (argument == Py_None)
        *value = 0;
    else if (PyBytes_Check(argument))
        *value = (long)PyBytes_AS_STRING(argument);
    else if (PyByteArray_Check(argument))
        *value = (long)PyByteArray_AS_STRING(argument);
    else {
        PyErr_SetString(PyExc_TypeError, "int, bytes, bytearray or None expected");
        return 0;
    }
    return 1;
}

static int last_error;

/* syscall(number, ...) -> result; -1 for a failure, of which errno() then tells */
static PyObject *raw_syscall(PyObject *self, PyObject *const *arguments, Py_ssize_t count)
{
    long values[7] = {0};
    if (count < 1 || count > 7) {
        PyErr_SetString(PyExc_TypeError, "1 to 7 arguments expected");
        return NULL;
    }
    for (Py_ssize_t i = 0; i < count; i++)
        if (!pointer_of(arguments[i], &values[i]))
            return NULL;
    long result = syscall(values[0], values[1], values[2], values[3], values[4], values[5], values[6]);
    last_error = errno;
    return PyLong_FromLong(result);
}

static PyObject *error_number(PyObject *self, PyObject *nothing)
{
    return PyLong_FromLong(last_error);
}

static PyObject *address_of(PyObject *self, PyObject *buffer)
{
    long value;
    return pointer_of(buffer, &value) ? PyLong_FromUnsignedLong((unsigned long)value) : NULL;
}

static PyMethodDef methods[] = {
    {"syscall", (PyCFunction)(void (*)(void))raw_syscall, METH_FASTCALL, "syscall(2)."},
    {"errno", error_number, METH_NOARGS, "The error number of the last call that returned -1."},
    {"address", address_of, METH_O, "The address of a bytearray's storage."},
    {"finish", finish, METH_NOARGS, "Initialise the rest of the interpreter: paths, codecs, streams."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_pyoci", NULL, -1, methods, NULL, NULL, NULL, NULL};

static const char *python;

static PyObject *make_module(void)
{
    PyObject *module = PyModule_Create(&definition);
    if (!module || PyModule_AddStringConstant(module, "DYNLOAD", DYNLOAD) ||
        PyModule_AddStringConstant(module, "SUFFIX", SUFFIX) ||
        PyModule_AddObject(module, "PYTHON", PyUnicode_DecodeFSDefault(python)))
        return NULL;
    return module;
}

/* One line, as everywhere: a damaged installation is all that can go wrong before pyoci looks for itself. */
static void report(void)
{
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyObject *text = value ? PyObject_Str(value) : NULL;
    const char *words = text ? PyUnicode_AsUTF8(text) : NULL;
    dprintf(2, "pyoci: cannot begin: %s: %s\n", type ? ((PyTypeObject *)type)->tp_name : "error", words ? words : "");
    dprintf(2, "  fix: the installation is damaged: install pyoci again\n");
}

static int set_list(const char *name, int count, char **texts)
{
    PyObject *list = PyList_New(0);
    for (int i = 0; list && i < count; i++) {
        PyObject *text = PyUnicode_DecodeFSDefault(texts[i]);
        if (!text || PyList_Append(list, text))
            return -1;
        Py_DECREF(text);
    }
    return list ? PySys_SetObject(name, list) : -1;
}

static int run(int argc, char **argv)
{
    PyObject *main_module = PyImport_AddModule("__main__"), *own = PyImport_ImportModule("_pyoci");
    PyObject *codes = PyMarshal_ReadObjectFromString((const char *)core_code, sizeof core_code);
    if (!main_module || !own || !codes || PyObject_SetAttrString(own, "BOOT", PyTuple_GET_ITEM(codes, 1)))
        return -1;
    if (set_list("argv", argc - 4, argv + 4) || set_list("path", 0, NULL) || PySys_SetObject("stdout", Py_None))
        return -1;
    PyObject *names = PyModule_GetDict(main_module);
    if (PyDict_SetItemString(names, "__builtins__", PyEval_GetBuiltins()))
        return -1;
    return PyEval_EvalCode(PyTuple_GET_ITEM(codes, 0), names, names) ? 0 : -1;
}

int main(int argc, char **argv)
{
    PyPreConfig preconfig;
    PyConfig config;
    PyStatus status;

    if (argc < 5 || strcmp(argv[3], "-Xpyoci") != 0) {
        dprintf(2, "pyoci: %s is started by the command pyoci only\n", argc > 0 ? argv[0] : "this");
        return 1;
    }
    if (access(DYNLOAD, X_OK) != 0) { /* not this host's Python, or not this user's: the one that was meant */
        argv[3] = "-Xpyoci=env";
        execv(argv[0], argv);
        dprintf(2, "pyoci: cannot execute %s: %s\n", argv[0], strerror(errno));
        return 1;
    }
    PyPreConfig_InitIsolatedConfig(&preconfig);
    preconfig.utf8_mode = 1;
    status = Py_PreInitialize(&preconfig);
    if (PyStatus_Exception(status))
        fail("encodings", status);
    python = argv[0];
    PyImport_AppendInittab("_pyoci", make_module);
    PyConfig_InitIsolatedConfig(&config);
    config._init_main = 0;
    config.site_import = 0;
    config.write_bytecode = 0;
    config.install_signal_handlers = 0;
    config.parse_argv = 0;
    status = PyConfig_SetBytesString(&config, &config.program_name, argv[0]);
    if (!PyStatus_Exception(status))
        status = PyWideStringList_Append(&config.xoptions, L"pyoci");
    if (!PyStatus_Exception(status))
        status = Py_InitializeFromConfig(&config);
    if (PyStatus_Exception(status))
        fail("the core", status);
    if (_PySignal_Init(0) < 0 || run(argc, argv) < 0)
        report();
    _exit(1); /* a command ends the process itself */
}
