/* A number, or 0 in place of one below: as integers, too, numbers with a sign are those below 0. */
static inline float NAME_positive(float v)
{
    union {
        float number;
        int32_t bits;
    } both = {v};
    both.bits = both.bits < 0 ? 0 : both.bits;
    return both.number;
}
