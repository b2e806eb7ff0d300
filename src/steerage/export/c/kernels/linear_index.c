/* y = bias + weights x; index: for each output the number of its weights, and the input of each. */
static KERNEL void NAME_linear_indexBITSSUFFIX(const INPUT *x, OUTPUT *y, int outputs, const WEIGHT *weights,
    const INDEX *index, const SUM *bias) //! int8
    const INDEX *index, const SUM *bias, const uint8_t *codes) //? int8
{
    for (int o = 0; o < outputs; ++o) {
        SUM a = bias[o];
        for (int left = *index++; left > 0; --left, ++weights, ++index)
            a = MAC(*weights, CAST x[*index], a);
        y[o] = STORE(a, o);
    }
}
