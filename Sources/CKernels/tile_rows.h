/* What a function for each number of rows up to MOST needs: TILE_OF defines one, EACH_ROWS applies a
 * macro to every number, TILES(name) lists name_1, name_2, ... */

#define TILE_OF(name, rows, function, columns)                                                     \
    static void name##_##rows(int64_t steps, const void *a, const void *b, float *tile,            \
                              coming next) {                                                       \
        function(rows, columns, steps, a, b, tile, next);                                          \
    }

#define EACH_4(TILE) TILE(1) TILE(2) TILE(3) TILE(4)
#define TILES_4(name) name##_1, name##_2, name##_3, name##_4
#if MOST == 4
#define EACH_ROWS(TILE) EACH_4(TILE)
#define TILES(name) TILES_4(name)
#elif MOST == 6
#define EACH_ROWS(TILE) EACH_4(TILE) TILE(5) TILE(6)
#define TILES(name) TILES_4(name), name##_5, name##_6
#else
#define EACH_12(TILE)                                                                              \
    EACH_4(TILE) TILE(5) TILE(6) TILE(7) TILE(8) TILE(9) TILE(10) TILE(11) TILE(12)
#define TILES_12(name)                                                                             \
    TILES_4(name), name##_5, name##_6, name##_7, name##_8, name##_9, name##_10, name##_11,         \
        name##_12
#if MOST == 12
#define EACH_ROWS(TILE) EACH_12(TILE)
#define TILES(name) TILES_12(name)
#else
#define EACH_ROWS(TILE) EACH_12(TILE) TILE(13) TILE(14)
#define TILES(name) TILES_12(name), name##_13, name##_14
#endif
#endif
