/* The bijection between a program's socket names and the kernel's. */
#include <check.h>
#include <stdlib.h>

#include "shim/core/net_name.h"

#define SLICE_A (NET_LOOPBACK + 5 * NET_SLICE_SIZE)
#define SLICE_B (NET_LOOPBACK + 6 * NET_SLICE_SIZE)

static struct net_name name(uint32_t address, unsigned port)
{
    return (struct net_name){address, (uint16_t)port};
}

static bool same(struct net_name one, struct net_name other)
{
    return one.address == other.address && one.port == other.port;
}

START_TEST(test_every_port)
{
    for (unsigned port = 0; port <= UINT16_MAX; port++) {
        struct net_name program = name(NET_LOOPBACK | 1, port);
        struct net_name kernel = net_name_in(SLICE_A, program);
        ck_assert(net_name_in_slice(SLICE_A, kernel.address));
        ck_assert(port == 0 || kernel.port >= NET_PORT_PRIVILEGED);
        ck_assert(same(net_name_out(SLICE_A, kernel, false, NULL), program));
        ck_assert(same(net_name_out(SLICE_A, kernel, true, NULL), program));
    }
}
END_TEST

START_TEST(test_every_address)
{
    for (uint32_t last = 0; last < 512; last++) {
        for (unsigned port = 0; port < 66000; port += 1021) {
            struct net_name program = name(NET_LOOPBACK | last, port);
            struct net_name kernel = net_name_in(SLICE_A, program);
            ck_assert_int_eq(net_name_place(program.address), NET_PLACE_LOOPBACK);
            ck_assert(same(net_name_out(SLICE_A, kernel, false, NULL), program));
        }
    }
}
END_TEST

/* No two names of programs meet in one of the kernel's. */
START_TEST(test_injective)
{
    unsigned char *seen = calloc(NET_SLICE_SIZE, 65536 / 8);
    ck_assert_ptr_nonnull(seen);
    for (uint32_t last = 0; last <= 512; last++) {
        for (unsigned port = 0; port <= UINT16_MAX; port += last % 64 == 1 ? 1 : 257) {
            uint32_t address = last == 512 ? 0 : NET_LOOPBACK | last;
            struct net_name kernel = net_name_in(SLICE_A, name(address, port));
            size_t at = (kernel.address - SLICE_A) * (size_t)8192 + kernel.port / 8;
            ck_assert_int_eq(seen[at] >> (kernel.port % 8) & 1, 0);
            seen[at] |= (unsigned char)(1 << (kernel.port % 8));
            ck_assert(kernel.address != SLICE_A + NET_HOLD_ADDRESS);
        }
    }
    free(seen);
}
END_TEST

START_TEST(test_wildcard)
{
    struct net_name kernel = net_name_in(SLICE_A, name(0, 80));
    ck_assert(!same(kernel, net_name_in(SLICE_A, name(NET_LOOPBACK | 1, 80))));
    ck_assert(same(net_name_out(SLICE_A, kernel, false, NULL), name(0, 80)));
    ck_assert(same(net_name_out(SLICE_A, kernel, true, NULL), name(NET_LOOPBACK | 1, 80)));
}
END_TEST

/* The client's own end tells which address it asked for. */
START_TEST(test_client)
{
    struct net_name asked = name(NET_LOOPBACK | 0x101, 80);
    struct net_name listener = net_name_in(SLICE_A, name(0, 80));
    struct net_name client = net_name_client(SLICE_A, asked);
    client.port = 40000;
    ck_assert(same(net_name_out(SLICE_A, listener, true, &client), asked));
    ck_assert(same(net_name_out(SLICE_A, client, true, &listener), name(NET_LOOPBACK | 1, 40000)));
}
END_TEST

START_TEST(test_slices_apart)
{
    struct net_name program = name(NET_LOOPBACK | 1, 80);
    struct net_name kernel = net_name_in(SLICE_B, program);
    ck_assert(!net_name_in_slice(SLICE_A, kernel.address));
    ck_assert(same(net_name_out(SLICE_A, kernel, true, NULL), kernel));
    struct net_name host = name(NET_LOOPBACK | 1, 65000);
    ck_assert(same(net_name_out(SLICE_A, host, true, NULL), host));
}
END_TEST

START_TEST(test_places)
{
    ck_assert_int_eq(net_name_place(0), NET_PLACE_WILDCARD);
    ck_assert_int_eq(net_name_place(NET_LOOPBACK | 0x1ff), NET_PLACE_LOOPBACK);
    ck_assert_int_eq(net_name_place(NET_LOOPBACK | 0x200), NET_PLACE_UNUSED);
    ck_assert_int_eq(net_name_place(0x7fffffff), NET_PLACE_UNUSED);
    ck_assert_int_eq(net_name_place(0x7effffff), NET_PLACE_OUTSIDE);
    ck_assert_int_eq(net_name_place(0x80000000), NET_PLACE_OUTSIDE);
    ck_assert_int_eq(net_name_place(1), NET_PLACE_OUTSIDE);
    ck_assert_int_eq(net_name_place(0xffffffff), NET_PLACE_OUTSIDE);
}
END_TEST

START_TEST(test_slice_valid)
{
    ck_assert(net_slice_valid(SLICE_A));
    ck_assert(net_slice_valid(NET_LOOPBACK + NET_SLICE_LAST * NET_SLICE_SIZE));
    ck_assert(!net_slice_valid(SLICE_A + 1));
    ck_assert(!net_slice_valid(0));
    ck_assert(!net_slice_valid(NET_LOOPBACK));
    ck_assert(!net_slice_valid(NET_LOOPBACK + (NET_SLICE_LAST + 1) * NET_SLICE_SIZE));
    ck_assert(!net_slice_valid(0x80000000));
    ck_assert(!net_slice_valid(NET_LOOPBACK - NET_SLICE_SIZE));
}
END_TEST

int main(void)
{
    TCase *names = tcase_create("names");
    tcase_add_test(names, test_every_port);
    tcase_add_test(names, test_every_address);
    tcase_add_test(names, test_injective);
    tcase_add_test(names, test_wildcard);
    tcase_add_test(names, test_client);
    tcase_add_test(names, test_slices_apart);
    tcase_add_test(names, test_places);
    tcase_add_test(names, test_slice_valid);
    Suite *suite = suite_create("net_name");
    suite_add_tcase(suite, names);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
