/* A number in steps, the nearest: -128 and 127 are the ends. */
static inline int8_t NAME_ramp(uint32_t bits, int32_t start, int factor, int power)
{
    int32_t a = NAME_fixed(bits, power) - start;
    a = a < -32768 ? -32768 : a > 32767 ? 32767 : a;
    return NAME_narrow((a * factor + 0x200000) >> 22);
}
