/* A convolution over a map [y][channel][x], or an image. */
struct NAME_conv {
    uint16_t channels, height, width;     /* of the input */
    uint16_t outputs, rows, columns;      /* of the convolution, before its pooling */
    uint16_t group_inputs, group_outputs; /* channels of one group */
    uint16_t padded;                      /* numbers per channel in a row as it is read */
    uint16_t pool_y, pool_x, pooled;      /* what a pooling makes one number of, 1 without; columns behind it */
    uint16_t across;                      /* a place of a kernel times this is its line times 2^15, and a rest */
    uint8_t kernel_y, kernel_x, stride_y, pad_y, pad_x;
    uint8_t load;       /* 0: rows are read in place; else copied beside zeros: 1 of a map, 2 of an image, 3 made */
    uint8_t row;        /* which of the functions computes a row */
    uint8_t activation; /* its number, 0 for none */
    uint8_t pooling;    /* 0: none; 1: the largest, before the activation; 2: the largest, 3: the average, after it */
};

/* A map that is added to what a convolution makes. */ //? plus
struct NAME_plus { //? plus
    uint16_t channels, width; /* those that follow its channels are added to nothing */ //? plus
    uint8_t stride;           /* each of its pixels that are so many apart is taken */ //? plus
    uint8_t activation;       /* of the sum */ //? plus
}; //? plus
 //? plus
/* A convolution at work. */
struct NAME_rows {
    const struct NAME_conv *shape;
    const void *x;            /* the map or image; nothing where its rows are made */
    struct NAME_rows *before; /* the convolution that makes them */ //? chain
    NUMBER *window, *line;    /* rows of the input beside zeros; a row before it is pooled or added to */
    const WEIGHT *weights;
    const void *index;
    const SUM *bias;
    const uint8_t *codes; /* how a sum becomes an output */ //? int8
    const NUMBER *mean; /* of the pixels of each channel of an image */ //? image
    int32_t start; /* how a pixel becomes an integer: see NAME_ramp */ //? floats
    int factor, power; //? floats
    const struct NAME_plus *plus; //? plus
    const NUMBER *added; //? plus
    const struct NAME_rescale *rescale; //? rescale
    int32_t *sums; /* of pixels that are averaged */ //? averaged
    int8_t zero; /* what stands for zero in a map */ //? int8
    int row;           /* of the convolution, that comes next */
};
