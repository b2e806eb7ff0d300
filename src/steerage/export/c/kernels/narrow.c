/* The nearest number of 8 bits. */
static inline int8_t NAME_narrow(int32_t a)
{
    return (int8_t)(a < -128 ? -128 : a > 127 ? 127 : a);
}
