/* The bits of a number. */
static inline uint32_t NAME_bits(float v)
{
    const union {
        float number;
        uint32_t bits;
    } both = {v};
    return both.bits;
}
