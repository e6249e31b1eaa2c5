/*
 * The interpreter that the launcher runs where libpython could be linked in: Python, begun halfway.
 *
 * Half of what a `python3` does before its first line prepares the standard library: search paths, codecs,
 * text streams.  Commands that engines call need none of it.  So this program initialises the core only (PEP 587,
 * "multi-phase initialization"), runs pyoci/core.py, which is compiled into it, and finishes the rest the moment that
 * somebody asks for it.  See docs/adr/0014-core-interpreter.md.
 *
 * Called by launcher.c as PYTHON -I -S -Xpyoci BOOT ARGUMENT..., like the interpreter whose place it takes.
 *
 * At build time it is called as PYTHON -I -S -Xpyoci=image FILE SNAPSHOT NAMES SEED: it then does all that does not depend on
 * the call, loads the package's modules, and writes its memory to FILE, from which build_interpreter.py makes the
 * program that is installed.  That one goes on from there, as a child goes on after fork(2).
 * See docs/adr/0015-image.md.
 */
#define PY_SSIZE_T_CLEAN
#include "heap.h"
#if WITH_IMAGE
#define Py_BUILD_CORE 1 /* for the one key below; 3.12 keeps the thread's state elsewhere, and nobody has tried */
#include <internal/pycore_runtime.h>
#if PY_VERSION_HEX >= 0x030c0000
#error "only for CPython 3.11"
#endif
#define THREAD_KEY (&_PyRuntime.gilstate.autoTSSkey)
#endif
#include <marshal.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <signal.h>
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

/*
 * Something of an extension module that is a file: the module is loaded when this is called for the first time.  The
 * image can hold no such module, because the loader puts its file elsewhere each time.
 */
typedef struct {
    PyObject_HEAD
    vectorcallfunc call;
    PyObject *module, *name; /* of a function or class; or */
    PyObject *maker, *arguments; /* what a call while the image was made would have returned */
    PyObject *real;
} Late;

static PyObject *own_module; /* _pyoci */
static PyTypeObject late_type;

static PyObject *new_late(PyObject *module, PyObject *name, PyObject *maker, PyObject *arguments);

static PyObject *real_of(Late *self)
{
    if (self->real)
        return self->real;
    if (self->maker)
        return self->real = PyObject_CallObject(self->maker, self->arguments);
    PyObject *module = PyObject_CallMethod(own_module, "load", "O", self->module);
    if (module)
        self->real = PyObject_GetAttr(module, self->name);
    Py_XDECREF(module);
    return self->real;
}

static PyObject *call_late(PyObject *callable, PyObject *const *arguments, size_t flags, PyObject *names)
{
    Late *self = (Late *)callable;
    if (heap_is_image) {
        PyObject *real = real_of(self);
        return real ? PyObject_Vectorcall(real, arguments, flags, names) : NULL;
    }
    if (names) {
        PyErr_SetString(PyExc_TypeError, "a module that is imported into the image calls with a keyword");
        return NULL;
    }
    PyObject *all = PyTuple_New(PyVectorcall_NARGS(flags));
    for (Py_ssize_t i = 0; all && i < PyVectorcall_NARGS(flags); i++) {
        Py_INCREF(arguments[i]);
        PyTuple_SET_ITEM(all, i, arguments[i]);
    }
    return all ? new_late(NULL, NULL, callable, all) : NULL;
}

static PyTypeObject late_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "_pyoci.Late",
    .tp_basicsize = sizeof(Late),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL,
    .tp_call = PyVectorcall_Call,
    .tp_vectorcall_offset = offsetof(Late, call),
};

static PyObject *new_late(PyObject *module, PyObject *name, PyObject *maker, PyObject *arguments)
{
    Late *self = PyObject_New(Late, &late_type);
    if (!self)
        return NULL;
    self->call = call_late;
    self->module = Py_XNewRef(module);
    self->name = Py_XNewRef(name);
    self->maker = Py_XNewRef(maker);
    self->arguments = arguments;
    self->real = NULL;
    return (PyObject *)self;
}

static PyObject *late(PyObject *self, PyObject *const *arguments, Py_ssize_t count)
{
    if (count == 2)
        return new_late(arguments[0], arguments[1], NULL, NULL);
    PyErr_SetString(PyExc_TypeError, "2 arguments expected");
    return NULL;
}

static PyMethodDef methods[] = {
    {"syscall", (PyCFunction)(void (*)(void))raw_syscall, METH_FASTCALL, "syscall(2)."},
    {"errno", error_number, METH_NOARGS, "The error number of the last call that returned -1."},
    {"address", address_of, METH_O, "The address of a bytearray's storage."},
    {"late", (PyCFunction)(void (*)(void))late, METH_FASTCALL, "Stand-in for MODULE's NAME, for the image."},
    {"finish", finish, METH_NOARGS, "Initialise the rest of the interpreter: paths, codecs, streams."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_pyoci", NULL, -1, methods, NULL, NULL, NULL, NULL};

static const char *python;
static int for_image;

static PyObject *make_module(void)
{
    PyObject *module = own_module = PyType_Ready(&late_type) < 0 ? NULL : PyModule_Create(&definition);
    if (!module || PyModule_AddStringConstant(module, "DYNLOAD", DYNLOAD) ||
        PyModule_AddStringConstant(module, "SUFFIX", SUFFIX) || PyModule_AddIntConstant(module, "IMAGE", for_image) ||
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

/* Execute the interpreter in whose place this one was started. */
static void be_ordinary(char **argv)
{
    argv[3] = "-Xpyoci=env";
    execv(argv[0], argv);
    dprintf(2, "pyoci: cannot execute %s: %s\n", argv[0], strerror(errno));
    _exit(1);
}

static int set_arguments(int argc, char **argv)
{
    return set_list("argv", argc - 4, argv + 4);
}

/* Run pyoci/core.py: it ends the process, or comes back to have the image written. */
static int run(int argc, char **argv)
{
    PyObject *main_module = PyImport_AddModule("__main__"), *own = PyImport_ImportModule("_pyoci");
    PyObject *codes = PyMarshal_ReadObjectFromString((const char *)core_code, sizeof core_code);
    if (!main_module || !own || !codes || PyObject_SetAttrString(own, "BOOT", PyTuple_GET_ITEM(codes, 1)))
        return -1;
    if (set_arguments(argc, argv) || set_list("path", 0, NULL) || PySys_SetObject("stdout", Py_None))
        return -1;
    PyObject *names = PyModule_GetDict(main_module);
    if (PyDict_SetItemString(names, "__builtins__", PyEval_GetBuiltins()))
        return -1;
    PyObject *nothing = PyEval_EvalCode(PyTuple_GET_ITEM(codes, 0), names, names);
    Py_DECREF(codes);
    Py_XDECREF(nothing);
    return nothing ? 0 : -1;
}

#if WITH_IMAGE
/* The environment of this process, into the dictionary below os.environ: the first of each name, as always. */
static int set_environment(void)
{
    extern char **environ;
    PyObject *posix = PyImport_GetModule(PyUnicode_FromString("posix"));
    PyObject *known = posix ? PyObject_GetAttrString(posix, "environ") : NULL;
    if (!known)
        return -1;
    PyDict_Clear(known);
    for (char **entry = environ; entry && *entry; entry++) {
        const char *equals = strchr(*entry, '=');
        if (!equals)
            continue;
        PyObject *name = PyBytes_FromStringAndSize(*entry, equals - *entry), *value = PyBytes_FromString(equals + 1);
        if (!name || !value || !PyDict_SetDefault(known, name, value))
            return -1;
        Py_DECREF(name);
        Py_DECREF(value);
    }
    return 0;
}

/* What the module _signal knows was true of the process that made the image: all signals at their defaults, two of
   them ignored by core.py.  Make it so here too, and tell it what this process's parent had ignored. */
static int set_signals(void)
{
    PyObject *module = NULL;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    for (int number = 1; number < NSIG; number++) {
        struct sigaction known;
        if (number == SIGPIPE || number == SIGXFSZ || sigaction(number, NULL, &known) || known.sa_handler != SIG_IGN)
            continue;
        if (!module && !(module = PyImport_ImportModule("_signal")))
            return -1;
        PyObject *ignore = PyObject_GetAttrString(module, "SIG_IGN");
        PyObject *before = ignore ? PyObject_CallMethod(module, "signal", "iO", number, ignore) : NULL;
        if (!before)
            return -1;
        Py_DECREF(before);
        Py_DECREF(ignore);
    }
    return 0;
}

static PyConfig *config_in_use(void)
{
    return (PyConfig *)_Py_GetConfig(); /* read again by finish(), for the paths */
}

/* Go on where make_image() stopped, in a process of its own. */
static int resume(int argc, char **argv)
{
    PyThread_tss_create(THREAD_KEY); /* the image's was deleted; this process may give it another number */
    PyThread_tss_set(THREAD_KEY, PyThreadState_Get());
    PyOS_AfterFork_Child(); /* other thread identifiers, other thread-local storage: as after a fork */
    PyThreadState_Get()->thread_id = PyThread_get_thread_ident(); /* the native one is done */
    PyObject *is_current = PyObject_CallMethod(own_module, "is_current", NULL);
    if (is_current == Py_False)
        be_ordinary(argv);
    if (!is_current)
        return -1;
    PyStatus status = PyConfig_SetBytesString(config_in_use(), &config_in_use()->program_name, argv[0]);
    PyObject *name = PyUnicode_DecodeFSDefault(argv[0]);
    if (PyStatus_Exception(status) || !name || PySys_SetObject("executable", name) || set_signals() ||
        set_environment() || set_arguments(argc, argv))
        return -1;
    return PyObject_CallMethod(own_module, "resume", NULL) ? 0 : -1;
}

/* Write the memory, as it is now, to the file; no Python function is running. */
static int make_image(const char *name)
{
    PyThreadState *thread = PyThreadState_Get();
    memset(thread->datastack_top, 0, (char *)thread->datastack_limit - (char *)thread->datastack_top); /* dead frames */
    python = NULL;
    thread->thread_id = thread->native_thread_id = 0;
    PyThread_tss_delete(THREAD_KEY);
    dprintf(1, "%lu %lu\n", PyThread_get_thread_ident(), (unsigned long)sbrk(0)); /* for whoever compares two images */
    int file = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0 || heap_write(file) < 0) {
        dprintf(2, "pyoci: cannot write %s: %s\n", name, strerror(errno));
        _exit(1);
    }
    _exit(0);
}

#else
static int resume(int argc, char **argv)
{
    return -1;
}

static int make_image(const char *name)
{
    dprintf(2, "pyoci: this program was built to make no image\n");
    _exit(1);
}
#endif

static void initialise(char **argv)
{
    PyPreConfig preconfig;
    PyConfig config;
    PyStatus status;

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
    if (for_image) { /* or the image would be another one each time it is made, and could not be compared */
        config.use_hash_seed = 1;
        config.hash_seed = strtoul(argv[7], NULL, 10);
    }
    status = PyConfig_SetBytesString(&config, &config.program_name, argv[0]);
    if (!PyStatus_Exception(status))
        status = PyWideStringList_Append(&config.xoptions, L"pyoci");
    if (!PyStatus_Exception(status))
        status = Py_InitializeFromConfig(&config);
    if (PyStatus_Exception(status))
        fail("the core", status);
    PyConfig_Clear(&config);
}

int main(int argc, char **argv)
{
    for_image = argc == 8 && strcmp(argv[3], "-Xpyoci=image") == 0 && !heap_is_image;

    if (argc < 5 || (strcmp(argv[3], "-Xpyoci") != 0 && !for_image)) {
        dprintf(2, "pyoci: %s is started by the command pyoci only\n", argc > 0 ? argv[0] : "this");
        return 1;
    }
    if (access(DYNLOAD, X_OK) != 0) /* not this host's Python, or not this user's: the one that was meant */
        be_ordinary(argv);
    if (heap_is_image && resume(argc, argv) < 0) {
        report();
        _exit(1);
    }
    if (for_image) {
        for (int number = 1; number < NSIG; number++)
            signal(number, SIG_DFL);
        heap_begin();
    }
    initialise(argv);
    if (_PySignal_Init(0) < 0 || run(argc, argv) < 0 || (for_image && make_image(argv[4]) < 0))
        report();
    _exit(1); /* a command ends the process itself */
}
