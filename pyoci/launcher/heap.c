/*
 * Where the interpreter's memory lies while its image is made (docs/adr/0015-image.md).
 *
 * All that Python allocates then comes from one array of this program, so that it can be written into the program's
 * own file together with its variables, at the addresses where it will be again.  In a program that was made so
 * (`heap_is_image`), the array is as it was left: nothing in it is freed, and what is new comes from libc's allocator.
 *
 * Linked last, so that the array ends the data segment and the unused rest of it can be cut off.
 */
#define _GNU_SOURCE
#include "heap.h"
#include <elf.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#define SIZE (64UL << 20)
#define CLASSES 64 /* by 16 bytes; larger blocks are powers of two */

extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
extern void __libc_free(void *);

struct block {
    size_t size; /* of what follows; 16 bytes before it, for the alignment that malloc(3) promises */
    struct block *next;
};

/* The last thing in the data segment.  A larger alignment would give the linker reason to make two of it. */
static char array[SIZE] __attribute__((aligned(16)));

int heap_is_image __attribute__((section(".data"))); /* what is zero would lie beside the array, and be cut off */
static struct {
    char *top;
    int in_use; /* from heap_begin() to heap_write(); else libc's allocator serves */
    struct block *free[CLASSES + 64];
} heap = {.top = array};

static int is_ours(const void *address)
{
    return (const char *)address >= array && (const char *)address < heap.top; /* libc's own heap may follow at once */
}

static void *take(size_t size, size_t alignment)
{
    char *start = (char *)(((uintptr_t)heap.top + alignment - 1) & ~(alignment - 1));
    if (size > SIZE || start > array + SIZE - size) {
        errno = ENOMEM;
        return NULL;
    }
    heap.top = start + size;
    return start;
}

static size_t class_of(size_t *size)
{
    if (*size <= CLASSES * 16) {
        *size = *size ? (*size + 15) & ~15UL : 16;
        return *size / 16 - 1;
    }
    size_t power = 64 - __builtin_clzl(*size - 1);
    *size = 1UL << power;
    return CLASSES + power;
}

static void *allocate(size_t size)
{
    size_t class = size > SIZE ? 0 : class_of(&size);
    struct block *block = size > SIZE ? NULL : heap.free[class];
    if (block)
        heap.free[class] = block->next;
    else if (!(block = take(sizeof *block + size, 16)))
        return NULL;
    block->size = size;
    return block + 1;
}

static void give_back(void *address)
{
    struct block *block = (struct block *)address - 1;
    size_t size = block->size, class = class_of(&size);
    memset(address, 0, size); /* not for the image; and what calloc() expects */
    block->next = heap.free[class];
    heap.free[class] = block;
}

void *malloc(size_t size)
{
    return heap.in_use ? allocate(size) : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    size_t all;
    if (!heap.in_use)
        return __libc_calloc(count, size);
    if (__builtin_mul_overflow(count, size, &all)) {
        errno = ENOMEM;
        return NULL;
    }
    return allocate(all);
}

void free(void *address)
{
    if (!is_ours(address))
        __libc_free(address);
    else if (heap.in_use)
        give_back(address);
}

void *realloc(void *old, size_t size)
{
    if (!old)
        return malloc(size);
    if (!is_ours(old))
        return __libc_realloc(old, size);
    size_t had = ((struct block *)old - 1)->size;
    if (heap.in_use && size <= had && size)
        return old;
    void *new = malloc(size);
    if (new) {
        memcpy(new, old, size < had ? size : had);
        free(old);
    }
    return new;
}

static void *take_arena(void *context, size_t size)
{
    if (heap.in_use)
        return take(size, 16384);
    void *arena = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return arena == MAP_FAILED ? NULL : arena;
}

static void free_arena(void *context, void *arena, size_t size)
{
    if (!is_ours(arena))
        munmap(arena, size);
}

void heap_begin(void)
{
    PyObjectArenaAllocator arenas = {NULL, take_arena, free_arena};
    heap.in_use = 1;
    PyObject_SetArenaAllocator(&arenas);
}

/* The data segment, as the kernel mapped it: where it begins, and where what is in use of it ends. */
static void segment(char **start, char **end)
{
    const Elf64_Phdr *header = (const Elf64_Phdr *)getauxval(AT_PHDR);
    for (unsigned long i = 0; i < getauxval(AT_PHNUM); i++)
        if (header[i].p_type == PT_LOAD && header[i].p_flags & PF_W) {
            *start = (char *)header[i].p_vaddr;
            *end = (char *)header[i].p_vaddr + header[i].p_memsz;
        }
    *end = (uintptr_t)*end - (uintptr_t)array - SIZE < 16 ? heap.top : NULL; /* NULL: there is more behind the array */
}

int heap_write(int file)
{
    char *start = NULL, *end = NULL;
    segment(&start, &end);
    if (!end) {
        errno = ENOEXEC;
        return -1;
    }
    heap.in_use = 0;
    heap_is_image = 1;
    while (start < end) {
        ssize_t written = write(file, start, end - start);
        if (written <= 0)
            return -1;
        start += written;
    }
    return 0;
}
