/* What plain_script.py does, in C: see there. bench_plain.py calls it, with room for a row a block that comes or goes. */
#include <stdint.h>

enum { NORMAL = 2, MOVABLE = 3, PLUG = 1, UNPLUG = 6, DEVICE = 0, COLUMNS = 7 };

static const int64_t BLOCK_PAGES = 32768, PLUG_US = 26500, UNPLUG_US = 18000, RATIO = 301;

struct pages {
    int64_t early, zone[4], dynamic_movable, group_kernel, group_movable;
};

static int zone_for_block(const struct pages *pages)
{
    int64_t movable = pages->zone[MOVABLE] - pages->dynamic_movable + pages->group_movable;
    int64_t limit = RATIO * (pages->early + pages->group_kernel) / 100;

    return movable + BLOCK_PAGES <= limit ? MOVABLE : NORMAL;
}

static void count(struct pages *pages, int zone, int64_t more)
{
    pages->zone[zone] += more;
    if (zone == MOVABLE) {
        pages->dynamic_movable += more;
        pages->group_movable += more;
    } else {
        pages->group_kernel += more;
    }
}

static int64_t *noted(int64_t *row, int64_t now, int64_t kind, int64_t block, int64_t zone)
{
    row[0] = now;
    row[1] = kind;
    row[2] = DEVICE;
    row[3] = block;
    row[4] = 1;
    row[5] = zone;
    row[6] = BLOCK_PAGES;
    return row + COLUMNS;
}

/* zone_of has a byte for each block; returns how many rows there are. */
int64_t resized(int64_t turns, int64_t blocks, int64_t first, int64_t early, int64_t interval_us,
                uint8_t *zone_of, int64_t *rows)
{
    static const uint8_t zones[] = { MOVABLE, NORMAL };
    struct pages pages = { .early = early };
    int64_t *row = rows;

    for (int64_t turn = 0; turn < turns; turn++) {
        int64_t now = (2 * turn + 1) * interval_us;
        for (int64_t block = 0; block < blocks; block++) {
            now += PLUG_US;
            zone_of[block] = zone_for_block(&pages);
            count(&pages, zone_of[block], BLOCK_PAGES);
            row = noted(row, now, PLUG, first + block, zone_of[block]);
        }
        now = (2 * turn + 2) * interval_us;
        for (int i = 0; i < 2; i++) {
            for (int64_t block = blocks - 1; block >= 0; block--) {
                if (zone_of[block] != zones[i])
                    continue;
                now += UNPLUG_US;
                zone_of[block] = 0;
                count(&pages, zones[i], -BLOCK_PAGES);
                row = noted(row, now, UNPLUG, first + block, zones[i]);
            }
        }
    }
    return (row - rows) / COLUMNS;
}
