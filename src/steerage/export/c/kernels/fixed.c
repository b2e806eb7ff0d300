/* A number times 2^power, towards zero, 2^30 at most. */
static inline int32_t NAME_fixed(uint32_t bits, int power)
{
    const int up = (int)(bits >> 23 & 255u) + power - 150;
    int32_t a = (int32_t)(bits & 0x7FFFFFu) + 0x800000;
    a = up > 6 ? 0x40000000 : up >= 0 ? a << up : up > -24 ? a >> -up : 0;
    return bits >> 31 ? -a : a;
}
