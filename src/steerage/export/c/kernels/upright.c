/* An image [channel][y][x] put upright and in the middle by its moments, pixels between others mixed of four. */
static KERNEL void NAME_upright(const uint8_t *x, uint8_t *y, int channels, int rows, int columns, int background)
{
    int64_t total = 0, down = 0, across = 0, tall = 0, leaning = 0;
    for (int at = 0; at < channels * rows; ++at) {
        const int r = at % rows;
        int32_t mass = 0, weighted = 0;
        for (int i = 0; i < columns; ++i) {
            const int drawn = x[at * columns + i] - background;
            mass += drawn < 0 ? -drawn : drawn;
            weighted += (drawn < 0 ? -drawn : drawn) * i;
        }
        total += mass;
        down += mass * r;
        tall += (int64_t)(mass * r) * r;
        across += weighted;
        leaning += (int64_t)weighted * r;
    }
    int32_t slant = 0, first = 0, first_row = 0; /* in 1/65536 pixels */
    if (total > 0 && (tall -= down * down / total) > 0) {
        const int64_t lean = (leaning - across * down / total) * 65536 / tall;
        slant = lean < -65536 ? -65536 : lean > 65536 ? 65536 : (int32_t)lean;
        first_row = (int32_t)(down * 65536 / total) - (rows - 1) * 32768;
        first = (int32_t)(across * 65536 / total) - (columns - 1) * 32768 - ((slant * (rows - 1)) >> 1);
    }
    const int shift = (first_row + 128) >> 8;
    for (int at = 0; at < channels * rows; ++at) {
        const int r = at % rows, start = (r * slant + first + 128) >> 8;
        const uint8_t *lines[2];
        for (int k = 0; k < 2; ++k) {
            const int from = r + (shift >> 8) + k;
            lines[k] = from < 0 || from >= rows ? 0 : x + (at - r + from) * columns;
        }
        for (int i = 0; i < columns; ++i) {
            const int left = i + (start >> 8);
            int32_t sum = 32768;
            for (int k = 0; k < 2; ++k) {
                const int a = lines[k] && left >= 0 && left < columns ? lines[k][left] : background;
                const int b = lines[k] && left >= -1 && left < columns - 1 ? lines[k][left + 1] : background;
                sum += (k ? shift & 255 : 256 - (shift & 255)) * (256 * a + (start & 255) * (b - a));
            }
            *y++ = (uint8_t)(sum >> 16);
        }
    }
}
