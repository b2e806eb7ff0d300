/* Whether it is no number: NAN or an infinity. */
static inline int NAME_none(uint32_t bits)
{
    return (bits >> 23 & 255u) == 255u;
}
