/* y = bias + weights x; index: for each output the number of its weights, and the input of each. */
static KERNEL void NAME_linear_indexBITSSUFFIX(const INPUT *x, OUTPUT *y, int outputs, const WEIGHT *weights,
    const INDEX *index, const SUM *bias) //! int8
    const INDEX *index, const SUM *bias, const uint8_t *codes) //? int8
{
    for (int o = 0; o < outputs; ++o) {
        SUM a = bias[o];
        int left = *index++;
#ifdef NAME_WIDE //? wide
        float b = 0.0f, c = 0.0f, d = 0.0f; /* sums that need not wait for each other */ //? wide
        for (; left >= 4; left -= 4, weights += 4, index += 4) { //? wide
            a = MAC(weights[0], CAST x[index[0]], a); //? wide
            b = MAC(weights[1], CAST x[index[1]], b); //? wide
            c = MAC(weights[2], CAST x[index[2]], c); //? wide
            d = MAC(weights[3], CAST x[index[3]], d); //? wide
        } //? wide
        a += b + (c + d); //? wide
#endif //? wide
        for (; left > 0; --left, ++weights, ++index)
            a = MAC(*weights, CAST x[*index], a);
        y[o] = STORE(a, o);
    }
}
