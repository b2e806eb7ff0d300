/* The next number of a stream of bytes, in which 255 goes on. */
static KERNEL int NAME_next(const uint8_t **stream)
{
    int number = 0;
    while (**stream == 255) {
        number += 255;
        ++*stream;
    }
    number += **stream;
    ++*stream;
    return number;
}
