/* Piecewise-linear encoding. For each run: the place of an input, its number of bins; edges: one more than bins. */
static KERNEL void NAME_binsBITS(const float *x, float *y, int runs, const INDEX *at, const uint8_t *bins, const float *edges)
{
    for (int i = 0; i < runs; ++i, ++edges) {
        const float v = x[at[i]];
        for (int bin = 0; bin < bins[i]; ++bin, ++edges) {
            const float t = (v - edges[0]) / (edges[1] - edges[0]);
            *y++ = t < 0.0f ? 0.0f : t > 1.0f ? 1.0f : t;
        }
    }
}
