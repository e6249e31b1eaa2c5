/* The memory that becomes part of the interpreter's image: heap.c. */
#include <Python.h>

extern int heap_is_image; /* true in a program that was made by heap_write() */
void heap_begin(void);    /* from now on all memory is taken from the image; before Python is initialised */
int heap_write(int file); /* write the data segment, with all of that memory; nothing may be allocated afterwards */
