/*
 * The console command `pyoci`: start Python on a read-only view of its own executable.
 *
 * A container process that can see a stage process of the runtime may open /proc/PID/exe, wait until
 * that process is gone and then write: the host's interpreter would be the attacker's (CVE-2019-5736).
 * So the interpreter is run from a detached, read-only clone of its mount, or from a sealed copy.
 *
 * This file parses no argument and takes no decision about containers.  Beside it lies `pyoci-boot`, a
 * Python script; installers write the path of the interpreter into the first line of such scripts.  We
 * run that interpreter on that script, isolated (-I) and without site-packages (-S), under LC_ALL=C.
 * Variables that would choose libraries or locale are renamed to PYOCI_KEPT_<name>; pyoci gives them
 * back their names, because hooks inherit the caller's environment.  See docs/adr/0003-launcher.md.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_open_tree
#define SYS_open_tree 428
#endif
#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif
#ifndef MFD_EXEC
#define MFD_EXEC 0x10U
#endif
#define CLONE_TREE (1 | O_CLOEXEC) /* OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC */
#define PATH_SIZE 4096
#define KEPT "PYOCI_KEPT_"

struct attributes { /* struct mount_attr, which older headers lack */
    unsigned long long set, clear, propagation, userns_fd;
};

static void complain(const char *what, const char *subject)
{
    const char *reason = strerror(errno);
    const char *parts[] = {"pyoci: ", what, " ", subject, ": ", reason, "\n"};
    for (unsigned i = 0; i < sizeof parts / sizeof *parts; i++)
        if (write(2, parts[i], strlen(parts[i])) < 0)
            break;
    _exit(1);
}

static void *memory(size_t size)
{
    void *block = malloc(size);
    if (!block) complain("cannot allocate memory for", "the environment");
    return block;
}

static char *joined(const char *first, const char *second)
{
    size_t length = strlen(first);
    char *text = memory(length + strlen(second) + 1);
    strcpy(text, first);
    strcpy(text + length, second);
    return text;
}

static int starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* A copy of the environment in which nothing chooses the interpreter's libraries or locale but we. */
static char **fixed_environment(char **environment, const char *library_path)
{
    size_t count = 0;
    while (environment[count])
        count++;
    char **fixed = memory((count + 3) * sizeof *fixed);
    size_t used = 0;
    fixed[used++] = "LC_ALL=C";
    if (library_path)
        fixed[used++] = joined("LD_LIBRARY_PATH=", library_path);
    for (size_t i = 0; i < count; i++) {
        char *entry = environment[i];
        if (starts_with(entry, "LD_") || starts_with(entry, "LC_ALL=") || starts_with(entry, "GLIBC_TUNABLES="))
            entry = joined(KEPT, entry);
        fixed[used++] = entry;
    }
    fixed[used] = NULL;
    return fixed;
}

/* The interpreter's real directory's ../lib, for builds that look for libpython in $ORIGIN/../lib: a detached
   mount has no path, so the loader cannot find $ORIGIN.  NULL for the distribution's own, which needs none. */
static char *library_path_of(const char *real)
{
    if (starts_with(real, "/usr/bin/") || !strchr(real, '/'))
        return NULL;
    char *path = joined(real, "/../lib");
    strcpy(path + (strrchr(real, '/') - real), "/../lib");
    return path;
}

static int read_only_clone(int file)
{
    struct attributes attributes = {.set = 1 /* MOUNT_ATTR_RDONLY */};
    int tree = syscall(SYS_open_tree, file, "", CLONE_TREE | AT_EMPTY_PATH);
    if (tree >= 0 && syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attributes, sizeof attributes) == 0)
        return tree;
    return -1;
}

static int sealed_copy(const char *interpreter, off_t size)
{
    int source = open(interpreter, O_RDONLY | O_CLOEXEC);
    int copy = memfd_create("pyoci", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
    if (copy < 0 && errno == EINVAL) /* before Linux 6.3 */
        copy = memfd_create("pyoci", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (source < 0 || copy < 0) return -1;
    while (size > 0) {
        ssize_t sent = sendfile(copy, source, NULL, size);
        if (sent <= 0) return -1;
        size -= sent;
    }
    if (fcntl(copy, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0)
        return -1;
    return copy;
}

int main(int argc, char **argv, char **environment)
{
    char boot[PATH_SIZE], core[PATH_SIZE], line[PATH_SIZE], real[PATH_SIZE], link[32] = "/proc/self/fd/";
    struct stat status;

    size_t room = sizeof boot - sizeof "/pyoci-interpreter";
    ssize_t length = readlink("/proc/self/exe", boot, room);
    if (length == (ssize_t)room) /* cut off, perhaps: what is left may name another directory */
        errno = ENAMETOOLONG;
    if (length < 0 || length == (ssize_t)room)
        complain("cannot read", "/proc/self/exe");
    boot[length] = '\0';
    strcpy(core, boot);
    strcpy(strrchr(core, '/'), "/pyoci-interpreter");
    strcpy(strrchr(boot, '/'), "/pyoci-boot");

    int script = open(boot, O_RDONLY | O_CLOEXEC);
    length = script < 0 ? -1 : read(script, line, sizeof line - 1);
    if (length >= 0 && length < 3)
        errno = ENOEXEC;
    if (length < 3)
        complain("cannot read", boot);
    line[length] = '\0';
    char *interpreter = line + 2, *end = strchr(line, '\n');
    if (end)
        *end = '\0';
    close(script);

    char *program = core; /* the same Python, begun halfway, where it could be built (docs/adr/0014) */
    int file = open(program, O_PATH | O_CLOEXEC);
    if (file < 0)
        file = open(program = interpreter, O_PATH | O_CLOEXEC);
    if (!end || !starts_with(line, "#!/") || starts_with(line, "#!/bin/sh") || file < 0 || fstat(file, &status) != 0) {
        argv[0] = boot; /* an unusual first line: the kernel knows what to do, the script does the rest */
        execve(boot, argv, environment);
        complain("cannot execute", boot);
    }
    char *digit = link + strlen(link);
    for (int place = 100000; place > 0; place /= 10)
        if (file >= place)
            *digit++ = '0' + file / place % 10;
    *digit = '\0';
    length = readlink(link, real, sizeof real - 1);
    real[length < 0 ? 0 : length] = '\0';

    char **arguments = memory((argc + 6) * sizeof *arguments);
    char *first[] = {interpreter, "-I", "-S", "-Xpyoci", boot};
    memcpy(arguments, first, sizeof first);
    for (int i = 1; i < argc; i++)
        arguments[4 + i] = argv[i];
    arguments[argc < 1 ? 5 : 4 + argc] = NULL;
    char **fixed = fixed_environment(environment, program == core ? NULL : library_path_of(real));

    sigset_t interrupt; /* the starting interpreter would answer SIGINT with a traceback: boot.py lets it through */
    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    sigprocmask(SIG_BLOCK, &interrupt, NULL);

    int writable = status.st_uid == geteuid() || faccessat(AT_FDCWD, program, W_OK, AT_EACCESS) == 0;
    if (writable) { /* whoever cannot write the file today cannot do so from a container either */
        int image = read_only_clone(file);
        if (image < 0)
            image = sealed_copy(program, status.st_size);
        if (image >= 0)
            syscall(SYS_execveat, image, "", arguments, fixed, AT_EMPTY_PATH);
    }
    execve(program, arguments, fixed); /* pyoci looks for itself whether it is safe, and refuses if not */
    complain("cannot execute", program);
}
