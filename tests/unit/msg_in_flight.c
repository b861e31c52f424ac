/* Descriptors that nobody has received yet: the kernel holds those of all of a user's processes
 * against each sender's limit (ETOOMANYREFS). What meets this waits, in order, for a time. */
#include <sys/resource.h>

#include "tests/unit/msg_victim.h"

/* What else the user has in flight at one time, at most. */
enum { OTHERS = 200 };

/* So many in flight that this process may send no more. Others of the same user only add to it;
 * but they are not held up by it, as their limits are higher, nor do they hold this one up once it
 * has ended. */
struct flight {
    int ends[2];
    struct rlimit limit;
};

static void flight_begin(struct flight *flight)
{
    struct wire_header header = raw_header(WIRE_NOTICE, 0, 0);
    int zeros[250] = {0};
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, flight->ends), 0);
    int highest = fcntl(0, F_DUPFD_CLOEXEC, flight->ends[1]);
    close(highest);
    getrlimit(RLIMIT_NOFILE, &flight->limit);
    struct rlimit tight = {(rlim_t)highest + 8 + OTHERS, flight->limit.rlim_max};
    ck_assert_int_lt(tight.rlim_cur, 250);
    ck_assert_int_eq(raw_send(flight->ends[0], &header, NULL, 0, zeros, tight.rlim_cur + 1), 0);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &tight), 0);
}

static void flight_end(struct flight *flight)
{
    close(flight->ends[0]);
    close(flight->ends[1]);
}

static void flight_limit(struct flight *flight)
{
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &flight->limit), 0);
}

/* Who is privileged has no such limit. */
static bool is_privileged(void)
{
    return geteuid() == 0;
}

static void serve_descriptor(struct port *port, struct msg *message, struct reply *reply,
                             void *context)
{
    (void)port;
    (void)message;
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct msg answer = {.descriptors = &null, .descriptor_count = 1};
    reply_send(reply, &answer);
    close(null);
    ++*(int *)context;
}

static void expect_packet(uint16_t kind, uint32_t operation, size_t descriptors)
{
    static char body[64];
    struct wire_header header;
    ck_assert_int_ge(raw_await(&world, raw, &header, body, sizeof body), sizeof header);
    ck_assert_int_eq(header.kind, kind);
    ck_assert_uint_eq(header.operation, operation);
    ck_assert_uint_eq(header.descriptors, descriptors);
    ck_assert_int_eq(header.error, 0);
}

static void note_time(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    *(bool *)timer->data = true;
}

START_TEST(waits_in_order)
{
    struct flight flight;
    struct wire_header header;
    static struct outcome outcome; /* of a call that may outlive this function */
    char *body = calloc(1, 100000);
    struct msg carrying = {.operation = 1, .descriptors = &raw, .descriptor_count = 1};
    struct msg plain = {.operation = 2};
    struct msg long_one = {.operation = 3, .body = body, .length = 100000};
    if (is_privileged())
        return free(body);
    flight_begin(&flight);
    ck_assert_int_eq(msg_send(victim, &carrying), 0);
    ck_assert_int_eq(msg_send(victim, &plain), 0);
    ck_assert_int_eq(msg_call_start(victim, &long_one, -1, note_outcome, &outcome, NULL), 0);

    /* meanwhile nothing comes, and the loop sleeps */
    bool over = false;
    ev_timer timer;
    ev_timer_init(&timer, note_time, 0.4, 0.);
    timer.data = &over;
    ev_timer_start(world.loop, &timer);
    int turns = 0;
    for (; !over; turns++)
        ev_run(world.loop, EVRUN_ONCE);
    ck_assert_int_lt(turns, 60);
    ck_assert_int_eq(raw_receive(raw, &header, body, 100000), -1);
    others_are_served();

    flight_end(&flight);
    expect_packet(WIRE_NOTICE, 1, 1);
    expect_packet(WIRE_NOTICE, 2, 0);
    expect_packet(WIRE_REQUEST, 3, 1);
    flight_limit(&flight);
    ck_assert_int_eq(outcome.count + hangups.count, 0);
    free(body);
}
END_TEST

START_TEST(replies_wait)
{
    /* More replies with descriptors than may be in flight, which only end there when they are read.
     * Each comes, and none says that it had to wait. */
    struct rlimit limit, tight;
    struct wire_header header;
    char body[8];
    int served = 0;
    port_on_message(victim, serve_descriptor, &served);
    getrlimit(RLIMIT_NOFILE, &limit);
    tight = (struct rlimit){100, limit.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &tight), 0);
    for (uint32_t i = 0; i < 140; i++) {
        header = raw_header(WIRE_REQUEST, i, 0);
        ck_assert_int_eq(raw_send(raw, &header, NULL, 0, NULL, 0), 0);
    }
    for (int turn = 0; turn < 200; turn++)
        ev_run(world.loop, EVRUN_NOWAIT);
    for (uint32_t i = 0; i < 140; i++) {
        ck_assert_int_ge(raw_await(&world, raw, &header, body, sizeof body), sizeof header);
        ck_assert_uint_eq(header.tag, i);
        ck_assert_int_eq(header.error, 0);
        ck_assert_uint_eq(header.descriptors, 1);
    }
    setrlimit(RLIMIT_NOFILE, &limit);
    ck_assert_int_eq(hangups.count, 0);
}
END_TEST

START_TEST(met_behind_a_queue)
{
    /* It is found only when the queue moves. */
    struct flight flight;
    static char body[60000];
    struct wire_header header;
    int served = 0;
    static struct outcome outcome; /* of a call that may outlive this function */
    struct msg message = {.operation = 9, .descriptors = &raw, .descriptor_count = 1};
    if (is_privileged())
        return;
    port_on_message(victim, serve_descriptor, &served);
    int notices = fill_way();
    header = raw_header(WIRE_REQUEST, 5, 0);
    send_header(&header, 0);
    run_until(&world, &served, 1);
    ck_assert_int_eq(msg_call_start(victim, &message, -1, note_outcome, &outcome, NULL), 0);
    flight_begin(&flight);
    for (int i = 0; i < notices; i++)
        ck_assert_int_gt(raw_await(&world, raw, &header, body, sizeof body), 48);
    run_ready(&world);
    ck_assert_int_eq(raw_receive(raw, &header, body, sizeof body), -1);
    flight_end(&flight);
    expect_packet(WIRE_REPLY, 1, 1);
    expect_packet(WIRE_REQUEST, 9, 1);
    flight_limit(&flight);
    ck_assert_int_eq(outcome.count + hangups.count, 0);
}
END_TEST

/* End the flight some time after this process began to wait. */
static pid_t flight_end_later(struct flight *flight)
{
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        poll(NULL, 0, 300);
        _exit(0);
    }
    flight_end(flight);
    return pid;
}

START_TEST(blocking_call)
{
    char *path = world_path(&world, "socket");
    pid_t pid = serve_elsewhere(path, echo);
    struct flight flight;
    struct port *port;
    struct msg message = {.operation = 1, .descriptors = &raw, .descriptor_count = 1};
    struct msg answer;
    if (is_privileged())
        return serve_end(pid, path);
    ck_assert_int_eq(port_connect(world.set, path, 60000, &port), 0);
    flight_begin(&flight);
    ck_assert_int_eq(msg_call(port, &message, NULL, 100), ETIMEDOUT);
    pid_t later = flight_end_later(&flight);
    ck_assert_int_eq(msg_call(port, &message, &answer, 60000), 0);
    ck_assert_uint_eq(answer.descriptor_count, 1);
    msg_release(&answer);
    ck_assert_int_eq(waitpid(later, NULL, 0), later);
    flight_limit(&flight);
    serve_end(pid, path);
}
END_TEST

START_TEST(nothing_to_queue_with)
{
    /* The table is full besides: what blocks waits all the same, the rest is told. */
    char *path = world_path(&world, "socket");
    pid_t pid = serve_elsewhere(path, echo);
    struct flight flight;
    struct port *port;
    static struct outcome outcome; /* of a call that may outlive this function */
    struct msg message = {.operation = 1, .descriptors = &raw, .descriptor_count = 1};
    int taken[64 + OTHERS];
    int count = 0;
    if (is_privileged())
        return serve_end(pid, path);
    ck_assert_int_eq(port_connect(world.set, path, 60000, &port), 0);
    flight_begin(&flight);
    while (count < 64 + OTHERS && (taken[count] = fcntl(0, F_DUPFD_CLOEXEC, 0)) >= 0)
        count++;
    ck_assert_int_lt(count, 64 + OTHERS);
    ck_assert_int_eq(msg_send(port, &message), ETOOMANYREFS);
    ck_assert_int_eq(msg_call_start(port, &message, -1, note_outcome, &outcome, NULL),
                     ETOOMANYREFS);
    ck_assert_int_eq(msg_call(port, &message, NULL, 100), ETOOMANYREFS);
    pid_t later = flight_end_later(&flight); /* which gives two back, for the answer */
    ck_assert_int_eq(msg_call(port, &message, NULL, 60000), 0);
    ck_assert_int_eq(waitpid(later, NULL, 0), later);
    while (count > 0)
        close(taken[--count]);
    flight_limit(&flight);
    serve_end(pid, path);
}
END_TEST

START_TEST(not_for_ever)
{
    struct flight flight;
    struct wire_header header;
    struct port *one, *other;
    struct hangups notice_hangups = {0};
    static struct outcome outcome; /* of a call that may outlive this function */
    char body[64];
    int served = 0;
    struct msg message = {.operation = 9, .descriptors = &raw, .descriptor_count = 1};
    if (is_privileged())
        return;
    ck_assert_int_eq(port_pair(world.set, &one, &other), 0);
    port_on_hangup(one, note_hangup, &notice_hangups);
    port_on_message(victim, serve_descriptor, &served);
    flight_begin(&flight);
    header = raw_header(WIRE_REQUEST, 5, 0);
    send_header(&header, 0);
    run_until(&world, &served, 1);
    ck_assert_int_eq(msg_call_start(victim, &message, -1, note_outcome, &outcome, NULL), 0);
    ck_assert_int_eq(msg_send(one, &message), 0);
    run_ready(&world);
    ck_assert_int_eq(msg_call(client, &message, NULL, -1), ETOOMANYREFS);

    run_until(&world, &outcome.count, 1);
    ck_assert_int_eq(outcome.error, ETOOMANYREFS);
    ck_assert_int_eq(raw_await(&world, raw, &header, body, sizeof body), sizeof header);
    ck_assert_uint_eq(header.tag, 5);
    ck_assert_int_eq(header.error, ETOOMANYREFS);
    ck_assert_uint_eq(header.descriptors, 0);
    run_until(&world, &notice_hangups.count, 1);
    ck_assert_int_eq(notice_hangups.error, ETOOMANYREFS);
    ck_assert_int_eq(hangups.count, 0);
    flight_end(&flight);
    flight_limit(&flight);
}
END_TEST

static void fill(TCase *tests)
{
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, waits_in_order);
    tcase_add_test(tests, replies_wait);
    tcase_add_test(tests, met_behind_a_queue);
    tcase_add_test(tests, blocking_call);
    tcase_add_test(tests, nothing_to_queue_with);
    tcase_add_test(tests, not_for_ever);
}

int main(void)
{
    turn_await();
    return run_suite("msg_in_flight", fill);
}
