/* The memory that becomes part of the interpreter's image: heap.c. */
#include <Python.h>

#if WITH_IMAGE
extern int heap_is_image; /* true in a program that was made by heap_write() */
void heap_begin(void);    /* from now on all memory is taken from the image; before Python is initialised */
int heap_write(int file); /* write the data segment, with all of that memory; nothing may be allocated afterwards */
#else
#define heap_is_image 0
#define heap_begin() ((void)0)
#endif
