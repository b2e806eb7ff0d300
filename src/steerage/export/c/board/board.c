/* Runs NAME on an emulated board: rows come from the file "rows", scores go into "scores", figures into "figures".
 * Files are those of the machine that emulates, by semihosting. */
#include "NAME.h"

#define STACK_BYTES 16384 /* that are painted, to see how far the stack comes down */
#define PAINT 0xA5A5A5A5u
#define SYSTICK ((volatile uint32_t *)0xE000E010u) /* control, reload, current */

enum { SYS_OPEN = 1, SYS_WRITE = 5, SYS_READ = 6, SYS_EXIT = 24 };

extern uint32_t stack_top;
void start(void);

__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {&stack_top, (const void *)start};

static int semihost(int operation, const void *argument)
{
    register int r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static int open_file(const char *name, int length, int mode)
{
    const uint32_t block[3] = {(uint32_t)name, (uint32_t)mode, (uint32_t)length};
    return semihost(SYS_OPEN, block);
}

/* Bytes that were not read or written. */
static int transfer(int operation, int file, const void *data, uint32_t bytes)
{
    const uint32_t block[3] = {(uint32_t)file, (uint32_t)data, bytes};
    return semihost(operation, block);
}

static INPUT row[UPPER_INPUTS];
static uint32_t figures[2]; /* bytes of stack, clock ticks of a row: the most of all rows */
static NAME_scratch scratch;

__attribute__((noinline)) static const SCORE *measured(void)
{
    uint32_t *top;
    __asm__ volatile("mov %0, sp" : "=r"(top)); /* below it is nothing that this function needs */
    uint32_t *const bottom = top - STACK_BYTES / 4;
    for (volatile uint32_t *p = bottom; p < top; ++p)
        *p = PAINT;
    SYSTICK[2] = 0;
    const SCORE *const scores = NAME_scores(row, &scratch);
    const uint32_t ticks = 0xFFFFFFu - SYSTICK[2];
    const uint32_t *p = bottom;
    while (p < top && *p == PAINT)
        ++p;
    const uint32_t stack = (uint32_t)((const char *)top - (const char *)p);
    figures[0] = stack > figures[0] ? stack : figures[0];
    figures[1] = ticks > figures[1] ? ticks : figures[1];
    return scores;
}

__attribute__((used)) static void run(void)
{
    const int in = open_file("rows", 4, 1), out = open_file("scores", 6, 5);
    SYSTICK[1] = 0xFFFFFFu;
    SYSTICK[0] = 5;
    while (transfer(SYS_READ, in, row, sizeof row) == 0)
        transfer(SYS_WRITE, out, measured(), UPPER_OUTPUTS * sizeof(SCORE));
    transfer(SYS_WRITE, open_file("figures", 7, 5), figures, sizeof figures);
    semihost(SYS_EXIT, (const void *)0x20026); /* the application ended as it should */
}

__attribute__((naked)) void start(void)
{
    __asm__ volatile(
        "ldr r0, =0xE000ED88\n" /* let the floating-point unit work, where there is one */
        "ldr r1, [r0]\n"
        "ldr r2, =0x00F00000\n"
        "orr r1, r2\n"
        "str r1, [r0]\n"
        "dsb\n"
        "isb\n"
        "bl run\n"
        ".ltorg\n");
}
