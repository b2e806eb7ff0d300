/* How many zeros are below the lowest 1. */
static inline int NAME_first(unsigned bits)
{
#if defined(__GNUC__) && !defined(__ARM_ARCH_6M__) /* which has no instruction for it */
    return __builtin_ctz(bits);
#else
    int zeros = 0;
    for (; !(bits & 1u); bits >>= 1)
        ++zeros;
    return zeros;
#endif
}
