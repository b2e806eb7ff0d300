/* The nearest number of 8 bits; NAN is the least. */
static inline int8_t NAME_quantized(float v)
{
    v = v > -128.0f ? v < 127.0f ? v : 127.0f : -128.0f;
    return (int8_t)((int)(v + 128.5f) - 128);
}
