/* A sum in steps of the output: a half of one is part of its bias, so that what is shifted out rounds to the nearest. */
static inline int32_t NAME_scaled(int32_t sum, int code)
{
    return (sum * (8 + (code >> 5))) >> (code & 31);
}
