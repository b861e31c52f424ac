/* A port (the victim) whose other end (raw) writes onto the wire by hand what no well-behaved peer
 * writes, and beside it somebody who must not notice anything. */
#ifndef HIRSEL_TESTS_MSG_VICTIM_H
#define HIRSEL_TESTS_MSG_VICTIM_H

#include "tests/unit/msg_support.h"

static struct world world;
static struct port *victim;
static int raw;
static struct hangups hangups;

/* Who must not notice anything. */
static struct port *client, *server;

struct seen {
    int requests;
    int notices;
    int cancelled;
    struct reply *held[256];
    size_t descriptors;
};

static struct seen seen;

static inline void note_cancelled(struct reply *reply, void *context)
{
    (void)reply;
    (void)context;
    seen.cancelled++;
}

/* Operation 1 is answered, 2 is held. */
static inline void serve(struct port *port, struct msg *message, struct reply *reply, void *context)
{
    if (!reply) {
        seen.notices++;
        return;
    }
    seen.descriptors = message->descriptor_count;
    if (message->operation == 2) {
        seen.held[seen.requests] = reply;
        reply_on_cancel(reply, note_cancelled, NULL);
    } else {
        echo(port, message, reply, context);
    }
    seen.requests++;
}

static inline void setup(void)
{
    world_open(&world);
    victim = raw_port(&world, &raw);
    port_on_message(victim, serve, NULL);
    port_on_hangup(victim, note_hangup, &hangups);
    ck_assert_int_eq(port_pair(world.set, &client, &server), 0);
    port_on_message(server, echo, NULL);
    hangups = (struct hangups){0};
    seen = (struct seen){0};
}

static inline void others_are_served(void)
{
    struct outcome outcome = {0};
    struct msg message = {.operation = 1, .body = "fine", .length = 5};
    ck_assert_int_eq(msg_call_start(client, &message, 60000, note_outcome, &outcome, NULL), 0);
    run_until(&world, &outcome.count, 1);
    ck_assert_int_eq(outcome.error, 0);
}

static inline void teardown(void)
{
    others_are_served();
    close(raw);
    world_close(&world);
}

static inline void send_header(const struct wire_header *header, size_t body_length)
{
    static char body[WIRE_INLINE_MAX + 4096];
    ck_assert_int_eq(raw_send(raw, header, body, body_length, NULL, 0), 0);
}

static inline void expect_drop(int error)
{
    run_until(&world, &hangups.count, 1);
    ck_assert_int_eq(hangups.error, error);
    struct wire_header header;
    char body[64];
    ck_assert_int_eq(raw_await(&world, raw, &header, body, sizeof body), 0);
}

/* The connection lives: a request is answered. */
static inline void expect_life(void)
{
    struct wire_header header = raw_header(WIRE_REQUEST, 0xabcdef, 0);
    char body[64];
    send_header(&header, 0);
    ck_assert_int_eq(raw_await(&world, raw, &header, body, sizeof body), sizeof header);
    ck_assert_int_eq(header.kind, WIRE_REPLY);
    ck_assert_uint_eq(header.tag, 0xabcdef);
    ck_assert_uint_eq(header.operation, 1);
    ck_assert_int_eq(header.error, 0);
    ck_assert_int_eq(hangups.count, 0);
}

/* Fill the way to the raw end until packets are queued. */
static inline int fill_way(void)
{
    static char body[60000];
    struct msg message = {.operation = 3, .body = body, .length = sizeof body};
    int count = 0;
    while (count < 10) {
        ck_assert_int_eq(msg_send(victim, &message), 0);
        count++;
    }
    return count;
}

#endif
