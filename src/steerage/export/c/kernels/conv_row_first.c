static KERNEL void NAME_conv_row(struct NAME_rows *c, NUMBER *out, int step);
