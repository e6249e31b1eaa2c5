/* stuck: wait in the kernel for a page that nobody will ever supply, where only SIGKILL reaches.
 *
 * A read(2) into memory that userfaultfd(2) watches; the fault happens in kernel mode, so the freezer cannot stop the
 * process. Needs CAP_SYS_PTRACE. Prints "stuck" first. Build: gcc -O1 -static -o stuck stuck.c
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void) {
    struct uffdio_api api = {.api = UFFD_API};
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct uffdio_register range = {.range = {(unsigned long)page, 4096}, .mode = UFFDIO_REGISTER_MODE_MISSING};
    int fd = syscall(SYS_userfaultfd, O_CLOEXEC);
    if (fd < 0 || ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &range)) {
        perror("userfaultfd");
        return 1;
    }
    int zero = open("/proc/self/status", O_RDONLY);
    puts("stuck");
    fflush(stdout);
    read(zero, page, 4096);
    puts("not stuck");
    return 2;
}
