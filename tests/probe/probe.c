/* probe: tell as one JSON object what a process can see of itself, and try what it is asked to try.
 *
 * One static program that stands in for a container's program, for an exec'ed process and for a hook. It needs nothing
 * of the root filesystem: what cannot be read is null. Build: gcc -O1 -static -o probe probe.c
 *
 * Arguments are taken from left to right. Facts about the process are gathered first, before any action.
 *   --only A,B,...     gather only these groups: ids status rlimits mounts ns cgroup fds env cwd args uname sched proc
 *                      net tty clock stat maps keyring   (`none` for no group at all)
 *   --out PATH         print to PATH (truncated) and not to stdout;  --append PATH  one line with O_APPEND
 *   --tag TEXT         "tag": TEXT, to tell several outputs apart
 *   --stdin            read standard input to its end into "stdin"
 *   --read PATH  --list DIR  --stat PATH (does not follow)  --statfs PATH  --open PATH  --openrw PATH
 *   --write PATH=TEXT (must exist)  --create PATH (O_CREAT|O_EXCL)  --touch PATH  --mkdir PATH  --unlink PATH
 *   --mknod PATH c|b|p MAJ MIN  --exec PATH (in a child: exit status or errno)  --has PATH (1 or 0)
 *   --syscall N A B C  --syscall-child N A B C (in a child: its exit or signal)  --syscall32 N A B C (int 0x80, child)
 *                      an argument is a number (any base) or s:TEXT for the address of TEXT; result, or errno
 *   --ignore SIG       set SIG to be ignored;  --trap SIG PATH  append "SIG\n" to PATH when SIG comes
 *   --exit-on SIG N    exit with N when SIG comes
 *   --child            fork a child that sleeps for ever, in "children"
 *   --child-trap SIG PATH   the same with a trap
 *   --print            print now (what comes after it is not printed)
 *   --wait PATH        print, then wait until PATH exists;  --sleep SECONDS  print, then sleep;  --pause  for ever
 *   --alloc MIB        touch so much memory (after printing)    --spin SECONDS  use the processor
 *   --fail             print, then exit 1      --exit N     print, then exit N      --kill SIG  print, then die of it
 * Every action adds {"do": option, "arg": first argument, ...} to "actions", with "errno": name on failure.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

extern char **environ;
static char *buf;
static size_t len, cap;
static const char *out_path, *append_path;
static int printed, need_comma;

static void put(const char *s, size_t n) {
    if (len + n + 1 > cap) {
        cap = (len + n + 1) * 2 + 65536;
        buf = realloc(buf, cap);
        if (!buf) _exit(121);
    }
    memcpy(buf + len, s, n);
    len += n;
    buf[len] = 0;
}
static void puts0(const char *s) { put(s, strlen(s)); }
static void fmt(const char *f, ...) {
    char t[4096];
    va_list a;
    va_start(a, f);
    int n = vsnprintf(t, sizeof t, f, a);
    va_end(a);
    put(t, n < (int)sizeof t ? (size_t)n : sizeof t - 1);
}
/* Bytes above 0x7f go out as they are: the reader decodes with surrogateescape. */
static void strn(const char *s, size_t n) {
    puts0("\"");
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c == '"' || c == '\\') { char t[3] = {'\\', (char)c, 0}; puts0(t); }
        else if (c < 0x20 || c == 0x7f) fmt("\\u%04x", c);
        else put(s + i, 1);
    }
    puts0("\"");
}
static void str(const char *s) { if (s) strn(s, strlen(s)); else puts0("null"); }
static void key(const char *k) { if (need_comma) puts0(","); need_comma = 1; str(k); puts0(":"); }
static void knum(const char *k, long long v) { key(k); fmt("%lld", v); }
static void kstr(const char *k, const char *v) { key(k); str(v); }
static void kerr(int e) { key("errno"); const char *n = strerrorname_np(e); if (n) str(n); else fmt("\"E%d\"", e); }
static void open_obj(void) { puts0("{"); need_comma = 0; }
static void close_obj(void) { puts0("}"); need_comma = 1; }
static void open_arr(void) { puts0("["); need_comma = 0; }
static void close_arr(void) { puts0("]"); need_comma = 1; }
static void sep(void) { if (need_comma) puts0(","); need_comma = 1; }

/* The whole of a file, malloc'ed and NUL-terminated; NULL with errno on failure. */
static char *slurp_fd(int fd, size_t *n) {
    size_t c = 65536, l = 0;
    char *b = malloc(c + 1);
    for (;;) {
        ssize_t r = read(fd, b + l, c - l);
        if (r < 0 && errno == EINTR) continue;
        if (r < 0) { int e = errno; free(b); errno = e; return NULL; }
        if (r == 0) break;
        l += (size_t)r;
        if (l > (1 << 24)) break;
        if (l == c) { c *= 2; b = realloc(b, c + 1); }
    }
    b[l] = 0;
    *n = l;
    return b;
}
static char *slurp(const char *path, size_t *n) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return NULL;
    char *b = slurp_fd(fd, n);
    int e = errno;
    close(fd);
    errno = e;
    return b;
}
static void ktext(const char *k, const char *path) {
    size_t n;
    char *b = slurp(path, &n);
    key(k);
    if (b) { strn(b, n); free(b); } else puts0("null");
}
static void klink(const char *k, const char *path) {
    char t[4097];
    ssize_t n = readlink(path, t, sizeof t - 1);
    key(k);
    if (n < 0) puts0("null"); else strn(t, (size_t)n);
}
static void klines(const char *k, const char *path) {
    size_t n;
    char *b = slurp(path, &n), *save = NULL;
    key(k);
    if (!b) { puts0("null"); return; }
    open_arr();
    for (char *l = strtok_r(b, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) { sep(); str(l); }
    close_arr();
    free(b);
}
static const char *type_name(mode_t m) {
    return S_ISREG(m) ? "file" : S_ISDIR(m) ? "dir" : S_ISCHR(m) ? "char" : S_ISBLK(m) ? "block"
         : S_ISFIFO(m) ? "fifo" : S_ISLNK(m) ? "link" : S_ISSOCK(m) ? "socket" : "?";
}
static void put_stat(const struct stat *s) {
    kstr("type", type_name(s->st_mode));
    knum("mode", s->st_mode & 07777);
    knum("uid", s->st_uid);
    knum("gid", s->st_gid);
    knum("major", major(s->st_rdev));
    knum("minor", minor(s->st_rdev));
    knum("size", s->st_size);
    knum("ino", (long long)s->st_ino);
    knum("dev", (long long)s->st_dev);
    knum("nlink", (long long)s->st_nlink);
    knum("atime", (long long)s->st_atim.tv_sec);
}

/* ---- facts ---- */

static void facts_ids(void) {
    uid_t r, e, s;
    getresuid(&r, &e, &s);
    key("uid"); fmt("[%u,%u,%u]", r, e, s);
    gid_t rg, eg, sg;
    getresgid(&rg, &eg, &sg);
    key("gid"); fmt("[%u,%u,%u]", rg, eg, sg);
    static gid_t g[65537];
    int n = getgroups(65536, g);
    key("groups"); open_arr();
    for (int i = 0; i < n; i++) { sep(); fmt("%u", g[i]); }
    close_arr();
    knum("pid", getpid());
    knum("ppid", getppid());
    knum("pgid", getpgid(0));
    knum("sid", getsid(0));
    mode_t m = umask(0);
    umask(m);
    knum("umask", m);
}
static void facts_status(void) {
    size_t n;
    char *b = slurp("/proc/self/status", &n), *save = NULL;
    key("status");
    if (!b) { puts0("null"); }
    else {
        open_obj();
        for (char *l = strtok_r(b, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
            char *c = strchr(l, ':');
            if (!c) continue;
            *c++ = 0;
            while (isspace((unsigned char)*c)) c++;
            kstr(l, c);
        }
        close_obj();
        free(b);
    }
    /* the same without /proc */
    struct { uint32_t version; int pid; } h = {0x20080522, 0};
    struct { uint32_t e, p, i; } d[2] = {{0}};
    if (syscall(SYS_capget, &h, d) == 0) {
        key("caps"); open_obj();
        knum("effective", (long long)((uint64_t)d[1].e << 32 | d[0].e));
        knum("permitted", (long long)((uint64_t)d[1].p << 32 | d[0].p));
        knum("inheritable", (long long)((uint64_t)d[1].i << 32 | d[0].i));
        long long bnd = 0, amb = 0;
        for (int i = 0; i < 64; i++) {
            if (prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1) bnd |= 1LL << i;
            if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, i, 0, 0) == 1) amb |= 1LL << i;
        }
        knum("bounding", bnd);
        knum("ambient", amb);
        close_obj();
    }
    knum("no_new_privs", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    knum("keepcaps", prctl(PR_GET_KEEPCAPS, 0, 0, 0, 0));
    knum("securebits", prctl(PR_GET_SECUREBITS, 0, 0, 0, 0));
    knum("dumpable", prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
    knum("pdeathsig", ({ int s = 0; prctl(PR_GET_PDEATHSIG, &s, 0, 0, 0); s; }));
    knum("subreaper", ({ int s = 0; prctl(PR_GET_CHILD_SUBREAPER, &s, 0, 0, 0); s; }));
    key("signals_ignored"); open_arr();
    for (int i = 1; i < 65; i++) {
        struct sigaction a;
        if (sigaction(i, NULL, &a) == 0 && a.sa_handler == SIG_IGN) { sep(); fmt("%d", i); }
    }
    close_arr();
    sigset_t set;
    sigprocmask(SIG_BLOCK, NULL, &set);
    key("signals_blocked"); open_arr();
    for (int i = 1; i < 65; i++) if (sigismember(&set, i) == 1) { sep(); fmt("%d", i); }
    close_arr();
}
static void facts_rlimits(void) {
    static const struct { const char *n; int r; } t[] = {
        {"RLIMIT_CPU", RLIMIT_CPU}, {"RLIMIT_FSIZE", RLIMIT_FSIZE}, {"RLIMIT_DATA", RLIMIT_DATA},
        {"RLIMIT_STACK", RLIMIT_STACK}, {"RLIMIT_CORE", RLIMIT_CORE}, {"RLIMIT_RSS", RLIMIT_RSS},
        {"RLIMIT_NPROC", RLIMIT_NPROC}, {"RLIMIT_NOFILE", RLIMIT_NOFILE}, {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},
        {"RLIMIT_AS", RLIMIT_AS}, {"RLIMIT_LOCKS", RLIMIT_LOCKS}, {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
        {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE}, {"RLIMIT_NICE", RLIMIT_NICE}, {"RLIMIT_RTPRIO", RLIMIT_RTPRIO},
        {"RLIMIT_RTTIME", RLIMIT_RTTIME}};
    key("rlimits"); open_obj();
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct rlimit64 l;
        if (prlimit64(0, t[i].r, NULL, &l)) continue;
        key(t[i].n);
        fmt("[%llu,%llu]", (unsigned long long)l.rlim_cur, (unsigned long long)l.rlim_max);
    }
    close_obj();
}
static void facts_ns(void) {
    static const char *const t[] = {"cgroup", "ipc", "mnt", "net", "pid", "pid_for_children", "time",
                                    "time_for_children", "user", "uts"};
    key("ns"); open_obj();
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        char p[64];
        snprintf(p, sizeof p, "/proc/self/ns/%s", t[i]);
        klink(t[i], p);
    }
    close_obj();
}
static void facts_fds(void) {
    key("fds"); open_obj();
    for (int fd = 0; fd < 1024; fd++) {
        int fl = fcntl(fd, F_GETFD);
        if (fl < 0) continue;
        char k[16], p[64];
        snprintf(k, sizeof k, "%d", fd);
        snprintf(p, sizeof p, "/proc/self/fd/%d", fd);
        key(k); open_obj();
        klink("link", p);
        knum("cloexec", fl & FD_CLOEXEC ? 1 : 0);
        knum("flags", fcntl(fd, F_GETFL));
        struct stat s;
        if (fstat(fd, &s) == 0) put_stat(&s);
        knum("tty", isatty(fd));
        close_obj();
    }
    close_obj();
}
static void facts_sched(void) {
    struct { uint32_t size, policy; uint64_t flags; int32_t nice; uint32_t prio; uint64_t runtime, deadline, period;
             uint32_t umin, umax; } a = {0};
    key("sched"); open_obj();
    if (syscall(SYS_sched_getattr, 0, &a, sizeof a, 0) == 0) {
        knum("policy", a.policy); knum("flags", (long long)a.flags); knum("nice", a.nice); knum("priority", a.prio);
        knum("runtime", (long long)a.runtime); knum("deadline", (long long)a.deadline);
        knum("period", (long long)a.period);
    }
    errno = 0;
    knum("getpriority", getpriority(PRIO_PROCESS, 0));
    long io = syscall(SYS_ioprio_get, 1, 0);
    knum("ioprio_class", io < 0 ? -1 : io >> 13);
    knum("ioprio_level", io < 0 ? -1 : io & 0x1fff);
    static unsigned char mask[1024];
    long n = syscall(SYS_sched_getaffinity, 0, sizeof mask, mask);
    key("affinity"); open_arr();
    for (long i = 0; n > 0 && i < n * 8; i++) if (mask[i / 8] >> (i % 8) & 1) { sep(); fmt("%ld", i); }
    close_arr();
    int mode = -1;
    static unsigned long nodes[16];
    long r = syscall(SYS_get_mempolicy, &mode, nodes, sizeof nodes * 8, NULL, 0);
    knum("mempolicy", r ? -1 : mode & 0xff);
    knum("mempolicy_flags", r ? -1 : mode & ~0xff);
    key("mempolicy_nodes"); open_arr();
    for (int i = 0; !r && i < 1024; i++) if (nodes[i / 64] >> (i % 64) & 1) { sep(); fmt("%d", i); }
    close_arr();
    int pers = personality(0xffffffff);
    knum("personality", pers);
    close_obj();
}
static void facts_net(void) {
    key("net");
    struct if_nameindex *l = if_nameindex();
    int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (!l) puts0("null");
    else {
        open_obj();
        for (struct if_nameindex *i = l; i->if_index; i++) {
            struct ifreq q = {0};
            snprintf(q.ifr_name, sizeof q.ifr_name, "%s", i->if_name);
            key(i->if_name);
            if (s < 0 || ioctl(s, SIOCGIFFLAGS, &q)) puts0("null");
            else fmt("{\"up\":%d,\"index\":%u}", q.ifr_flags & IFF_UP ? 1 : 0, i->if_index);
        }
        close_obj();
        if_freenameindex(l);
    }
    if (s >= 0) close(s);
}
static void facts_tty(void) {
    key("tty"); open_obj();
    for (int fd = 0; fd < 3; fd++) {
        char k[16], name[256];
        snprintf(k, sizeof k, "%d", fd);
        key(k);
        if (isatty(fd) && ttyname_r(fd, name, sizeof name) == 0) str(name); else fmt("%s", isatty(fd) ? "\"?\"" : "null");
    }
    struct winsize w;
    if (ioctl(0, TIOCGWINSZ, &w) == 0) { knum("rows", w.ws_row); knum("cols", w.ws_col); }
    int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    knum("controlling", fd >= 0);
    if (fd >= 0) close(fd);
    close_obj();
}
static void facts_clock(void) {
    static const struct { const char *n; clockid_t c; } t[] = {
        {"realtime", CLOCK_REALTIME}, {"monotonic", CLOCK_MONOTONIC}, {"boottime", CLOCK_BOOTTIME}};
    key("clock"); open_obj();
    for (int i = 0; i < 3; i++) {
        struct timespec s;
        if (clock_gettime(t[i].c, &s) == 0) { key(t[i].n); fmt("%lld.%09ld", (long long)s.tv_sec, s.tv_nsec); }
    }
    close_obj();
}
static void facts_keyring(void) {
    char d[512];
    key("keyring");
    long n = syscall(SYS_keyctl, 6 /* KEYCTL_DESCRIBE */, -3 /* KEY_SPEC_SESSION_KEYRING */, d, sizeof d);
    if (n < 0 || n > (long)sizeof d) puts0("null"); else str(d);
}
static const char *only;
static int wanted(const char *g) {
    if (!only) return 1;
    size_t n = strlen(g);
    for (const char *p = only; (p = strstr(p, g)); p += n)
        if ((p == only || p[-1] == ',') && (p[n] == 0 || p[n] == ',')) return 1;
    return 0;
}
static void facts(int argc, char **argv) {
    if (wanted("ids")) facts_ids();
    if (wanted("status")) facts_status();
    if (wanted("rlimits")) facts_rlimits();
    if (wanted("mounts")) klines("mountinfo", "/proc/self/mountinfo");
    if (wanted("ns")) facts_ns();
    if (wanted("cgroup")) klines("cgroup", "/proc/self/cgroup");
    if (wanted("fds")) facts_fds();
    if (wanted("env")) {
        key("env"); open_arr();
        for (char **e = environ; *e; e++) { sep(); str(*e); }
        close_arr();
    }
    if (wanted("cwd")) {
        char c[4096];
        kstr("cwd", getcwd(c, sizeof c));
        klink("root", "/proc/self/root");
        klink("exe", "/proc/self/exe");
    }
    if (wanted("args")) {
        key("args"); open_arr();
        for (int i = 0; i < argc; i++) { sep(); str(argv[i]); }
        close_arr();
    }
    if (wanted("uname")) {
        struct utsname u;
        uname(&u);
        key("uname"); open_obj();
        kstr("sysname", u.sysname); kstr("nodename", u.nodename); kstr("release", u.release);
        kstr("machine", u.machine); kstr("domainname", u.domainname);
        close_obj();
    }
    if (wanted("sched")) facts_sched();
    if (wanted("proc")) {
        ktext("oom_score_adj", "/proc/self/oom_score_adj");
        ktext("attr_current", "/proc/self/attr/current");
        ktext("coredump_filter", "/proc/self/coredump_filter");
    }
    if (wanted("stat")) ktext("stat", "/proc/self/stat");
    if (wanted("maps")) {
        ktext("uid_map", "/proc/self/uid_map");
        ktext("gid_map", "/proc/self/gid_map");
        ktext("setgroups", "/proc/self/setgroups");
        ktext("timens_offsets", "/proc/self/timens_offsets");
    }
    if (wanted("net")) facts_net();
    if (wanted("tty")) facts_tty();
    if (wanted("clock")) facts_clock();
    if (wanted("keyring")) facts_keyring();
}

/* ---- actions ---- */

static void flush(int in_actions) {
    if (printed) return;
    printed = 1;
    if (in_actions) puts0("]");
    puts0("}\n");
    int fd = 1;
    if (out_path) fd = open(out_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (append_path) fd = open(append_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0) { dprintf(2, "probe: cannot open output: %s\n", strerror(errno)); _exit(122); }
    for (size_t o = 0; o < len;) {
        ssize_t w = write(fd, buf + o, len - o);
        if (w < 0 && errno == EINTR) continue;
        if (w < 0) { dprintf(2, "probe: cannot write output: %s\n", strerror(errno)); _exit(123); }
        o += (size_t)w;
    }
    if (fd != 1) close(fd);
}
static const char *trap_path[65];
static int exit_code[65];
static void on_trap(int s) {
    int e = errno;
    char t[8];
    int n = 0;
    if (s >= 10) t[n++] = (char)('0' + s / 10);
    t[n++] = (char)('0' + s % 10);
    t[n++] = '\n';
    int fd = open(trap_path[s], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd >= 0) { if (write(fd, t, (size_t)n) < 0) _exit(124); close(fd); }
    errno = e;
}
static void on_exit_signal(int s) { _exit(exit_code[s]); }
static void handle(int s, void (*h)(int)) {
    struct sigaction a = {.sa_handler = h, .sa_flags = SA_RESTART};
    sigaction(s, &a, NULL);
}
static void nap(double seconds) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)seconds;
    until.tv_nsec += (long)((seconds - (double)(time_t)seconds) * 1e9);
    if (until.tv_nsec >= 1000000000) { until.tv_sec++; until.tv_nsec -= 1000000000; }
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) ;
}
static unsigned long sysarg(const char *s) {
    if (s[0] == 's' && s[1] == ':') return (unsigned long)(s + 2);
    return s[0] == '-' ? (unsigned long)strtoll(s, NULL, 0) : strtoull(s, NULL, 0);
}
static long int80(long n, long a, long b, long c) {
#ifdef __x86_64__
    long r;
    __asm__ volatile("int $0x80" : "=a"(r) : "a"(n), "b"(a), "c"(b), "d"(c) : "r8", "r9", "r10", "r11", "memory");
    return (long)(int)r;
#else
    (void)n; (void)a; (void)b; (void)c;
    return -ENOSYS;
#endif
}
static int is_option(const char *s) { return s[0] == '-' && s[1] == '-' && s[2]; }
static void begin(const char *o, const char *a) { sep(); open_obj(); kstr("do", o + 2); if (a) kstr("arg", a); }
static void end(void) { close_obj(); }
static void result(long r) { if (r < 0) kerr(errno); else knum("result", r); end(); }
static void wait_report(pid_t pid, int err_fd) {
    int st, e = 0;
    while (waitpid(pid, &st, 0) < 0 && errno == EINTR) ;
    if (err_fd >= 0 && read(err_fd, &e, sizeof e) == sizeof e) kerr(e);
    else if (WIFSIGNALED(st)) knum("signal", WTERMSIG(st));
    else knum("exit", WEXITSTATUS(st));
    if (err_fd >= 0) close(err_fd);
    end();
}
static void do_syscall(const char *o, int n, char **v) {
    unsigned long a[7] = {0};
    for (int i = 0; i < n && i < 7; i++) a[i] = sysarg(v[i]);
    begin(o, v[0]);
    if (!strcmp(o, "--syscall")) {
        result(syscall((long)a[0], a[1], a[2], a[3], a[4], a[5], a[6]));
        return;
    }
    /* in a child: the return value comes back through a pipe, a deadly signal through wait */
    int p[2];
    if (pipe2(p, O_CLOEXEC)) { kerr(errno); end(); return; }
    pid_t pid = fork();
    if (pid == 0) {
        long r[2];
        if (!strcmp(o, "--syscall32")) {
            r[0] = int80((long)a[0], (long)a[1], (long)a[2], (long)a[3]);
            r[1] = r[0] < 0 ? -r[0] : 0;
        } else {
            r[0] = syscall((long)a[0], a[1], a[2], a[3], a[4], a[5], a[6]);
            r[1] = r[0] < 0 ? errno : 0;
        }
        if (write(p[1], r, sizeof r) < 0) _exit(124);
        _exit(0);
    }
    close(p[1]);
    int st;
    long r[2];
    while (waitpid(pid, &st, 0) < 0 && errno == EINTR) ;
    if (read(p[0], r, sizeof r) == sizeof r) { if (r[0] < 0) kerr((int)r[1]); else knum("result", r[0]); }
    if (WIFSIGNALED(st)) knum("signal", WTERMSIG(st));
    close(p[0]);
    end();
}
static void do_child(int trap, const char *path) {
    pid_t pid = fork();
    if (pid == 0) {
        if (trap) { trap_path[trap] = path; handle(trap, on_trap); }
        else for (int i = 1; i < 32; i++) signal(i, SIG_DFL);
        for (;;) pause();
    }
    begin("--child", NULL);
    knum("pid", pid);
    end();
}
static int is(const char *a, const char *b) { return !strcmp(a, b); }
static const char *need(char **argv, int argc, int *i) {
    if (*i + 1 >= argc) { dprintf(2, "probe: %s needs an argument\n", argv[*i]); _exit(120); }
    return argv[++*i];
}
static long make(const char *p, int flags, const char *text) {
    int fd = open(p, flags | O_CLOEXEC | O_NOCTTY, 0666);
    if (fd < 0) return -1;
    long r = 0;
    if (text) { r = write(fd, text, strlen(text)); }
    int e = errno;
    if (close(fd) < 0 && r >= 0) return -1;
    errno = e;
    return r < 0 ? -1 : r;
}

int main(int argc, char **argv) {
    const char *tag = NULL;
    int want_stdin = 0;
    for (int i = 1; i < argc; i++) {
        if (is(argv[i], "--only")) only = need(argv, argc, &i);
        else if (is(argv[i], "--out")) out_path = need(argv, argc, &i);
        else if (is(argv[i], "--append")) append_path = need(argv, argc, &i);
        else if (is(argv[i], "--tag")) tag = need(argv, argc, &i);
        else if (is(argv[i], "--stdin")) want_stdin = 1;
    }
    open_obj();
    if (tag) kstr("tag", tag);
    if (want_stdin) {
        size_t n;
        char *b = slurp_fd(0, &n);
        key("stdin");
        if (b) strn(b, n); else puts0("null");
    }
    facts(argc, argv);
    key("actions");
    open_arr();
    for (int i = 1; i < argc; i++) {
        const char *o = argv[i];
        if (is(o, "--stdin")) continue;
        if (is(o, "--only") || is(o, "--out") || is(o, "--append") || is(o, "--tag")) { i++; continue; }
        if (is(o, "--print")) { flush(1); continue; }
        if (is(o, "--fail")) { flush(1); _exit(1); }
        if (is(o, "--child")) { do_child(0, NULL); continue; }
        if (is(o, "--pause")) { flush(1); for (;;) pause(); }
        if (!is_option(o)) { dprintf(2, "probe: unknown argument %s\n", o); return 120; }
        const char *a = need(argv, argc, &i);
        if (is(o, "--read")) {
            size_t n;
            begin(o, a);
            char *b = slurp(a, &n);
            if (b) { key("text"); strn(b, n); free(b); } else kerr(errno);
            end();
        } else if (is(o, "--list")) {
            begin(o, a);
            DIR *d = opendir(a);
            if (!d) kerr(errno);
            else {
                key("names"); open_arr();
                for (struct dirent *e; (e = readdir(d));)
                    if (!is(e->d_name, ".") && !is(e->d_name, "..")) { sep(); str(e->d_name); }
                close_arr();
                closedir(d);
            }
            end();
        } else if (is(o, "--stat")) {
            struct stat s;
            begin(o, a);
            if (lstat(a, &s)) kerr(errno);
            else { put_stat(&s); if (S_ISLNK(s.st_mode)) klink("target", a); }
            end();
        } else if (is(o, "--statfs")) {
            struct statfs s;
            begin(o, a);
            if (statfs(a, &s)) kerr(errno);
            else { knum("fstype", (long long)s.f_type); knum("flags", (long long)s.f_flags);
                   knum("bytes", (long long)s.f_blocks * (long long)s.f_bsize); knum("files", (long long)s.f_files); }
            end();
        } else if (is(o, "--has")) { struct stat s; begin(o, a); result(lstat(a, &s) == 0); }
        else if (is(o, "--open")) { begin(o, a); result(make(a, O_RDONLY, NULL)); }
        else if (is(o, "--openrw")) { begin(o, a); result(make(a, O_RDWR, NULL)); }
        else if (is(o, "--create")) { begin(o, a); result(make(a, O_WRONLY | O_CREAT | O_EXCL, NULL)); }
        else if (is(o, "--touch")) { begin(o, a); result(make(a, O_WRONLY | O_CREAT, NULL)); }
        else if (is(o, "--mkdir")) { begin(o, a); result(mkdir(a, 0777)); }
        else if (is(o, "--unlink")) { begin(o, a); result(unlink(a)); }
        else if (is(o, "--write")) {
            char *p = strdup(a), *eq = strchr(p, '=');
            if (eq) *eq = 0;
            begin(o, p);
            result(make(p, O_WRONLY, eq ? eq + 1 : ""));
        } else if (is(o, "--mknod")) {
            const char *t = need(argv, argc, &i), *ma = need(argv, argc, &i), *mi = need(argv, argc, &i);
            mode_t m = *t == 'c' ? S_IFCHR : *t == 'b' ? S_IFBLK : S_IFIFO;
            begin(o, a);
            result(mknod(a, m | 0666, makedev((unsigned)atoi(ma), (unsigned)atoi(mi))));
        } else if (is(o, "--exec")) {
            int p[2];
            begin(o, a);
            if (pipe2(p, O_CLOEXEC)) { kerr(errno); end(); continue; }
            pid_t pid = fork();
            if (pid == 0) {
                char *v[] = {(char *)a, "--only", "none", "--out", "/dev/null", NULL};
                execv(a, v);
                int e = errno;
                if (write(p[1], &e, sizeof e) < 0) _exit(124);
                _exit(127);
            }
            close(p[1]);
            wait_report(pid, p[0]);
        } else if (is(o, "--syscall") || is(o, "--syscall-child") || is(o, "--syscall32")) {
            int n = 1;
            while (i + n < argc && n < 7 && !is_option(argv[i + n])) n++;
            do_syscall(o, n, argv + i);
            i += n - 1;
        } else if (is(o, "--ignore")) signal(atoi(a), SIG_IGN);
        else if (is(o, "--trap")) { int s = atoi(a); trap_path[s] = need(argv, argc, &i); handle(s, on_trap); }
        else if (is(o, "--exit-on")) { int s = atoi(a); exit_code[s] = atoi(need(argv, argc, &i)); handle(s, on_exit_signal); }
        else if (is(o, "--child-trap")) { int s = atoi(a); do_child(s, need(argv, argc, &i)); }
        else if (is(o, "--wait")) { flush(1); struct stat s; while (lstat(a, &s)) nap(0.01); }
        else if (is(o, "--sleep")) { flush(1); nap(atof(a)); }
        else if (is(o, "--alloc")) {
            flush(1);
            size_t n = (size_t)atol(a) << 20;
            char *m = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            if (m == MAP_FAILED) _exit(125);
            for (size_t k = 0; k < n; k += 4096) m[k] = 1;
        } else if (is(o, "--spin")) {
            flush(1);
            struct timespec t0, t;
            clock_gettime(CLOCK_MONOTONIC, &t0);
            do clock_gettime(CLOCK_MONOTONIC, &t);
            while ((double)(t.tv_sec - t0.tv_sec) + (double)(t.tv_nsec - t0.tv_nsec) / 1e9 < atof(a));
        } else if (is(o, "--exit")) { flush(1); _exit(atoi(a)); }
        else if (is(o, "--kill")) {
            flush(1);
            signal(atoi(a), SIG_DFL);
            kill(getpid(), atoi(a));
            _exit(126);
        } else { dprintf(2, "probe: unknown option %s\n", o); return 120; }
    }
    flush(1);
    return 0;
}
