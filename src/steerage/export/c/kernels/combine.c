/* z = x SIGN y */ //! int8
/* z = x SIGN y, each with its own steps. */ //? int8
static KERNEL void NAME_KIND(const float *x, const float *y, float *z, int n) //! int8
static KERNEL void NAME_KIND(const int8_t *x, const int8_t *y, int8_t *z, int n, const struct NAME_rescale *rescale) //? int8
{
    for (int i = 0; i < n; ++i)
        z[i] = x[i] SIGN y[i]; //! int8
        z[i] = NAME_rescaled(rescale, x[i], y[i]); //? sum
        z[i] = NAME_rescaled(rescale, (x[i] - rescale->x_zero) * (y[i] - rescale->y_zero), 0); //? product
}
