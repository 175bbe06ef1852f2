// Very many sessions that are kept alive: S on each of C connections, all renewed three times within their time to live.
//
//     sessions ENDPOINTS CONNECTIONS SESSIONS TTL_MS SECONDS        ENDPOINTS: host:port,host:port
//
// Says "ready" once all are open, and renews them for so many seconds then: one request for all sessions of a connection, connections
// one after the other. Each session must be among those that live on, every time. Prints one JSON object.

#include <sys/epoll.h>
#include <sys/prctl.h>

#include "../wire.h"

enum {
    ALIVE = 3,  // tag of an answer, and of an ask
    OPENED_AT_ONCE = 100,
    LATENCY_US_MAX = 10000000,
    LATE_SECONDS_MAX = 30,
    RENEWALS_IN_TTL = 3,
};

typedef struct {
    Wire wire;
    uint64_t *sessions, due_ns;
    uint32_t opened, asked;  // to live on
} Connection;

static uint32_t sessions_each, *latencies;
static uint64_t ttl_ms, opened, renewals, open_renewals, frames;
static uint8_t *out;

static uint8_t *put_count(uint8_t *at, uint32_t count) {
    *at++ = 0xDC, *at++ = (uint8_t)(count >> 8), *at++ = (uint8_t)count;
    return at;
}

static void send_out(Connection *connection, uint8_t *at) {
    at = put_small(at, 0);  // no patience said
    seal(out, ASKS, (size_t)(at - out));
    send_all(&connection->wire, out, (size_t)(at - out));
}

static void ask_some(Connection *connection) {
    const uint32_t left = sessions_each - connection->opened, count = left < OPENED_AT_ONCE ? left : OPENED_AT_ONCE;
    if (!count) return;
    uint8_t *at = put_count(put_array(out + HEADER_BYTES, 2), count), nonce[16], command[128];
    for (uint32_t place = 0; place < count; place++) {
        if (getrandom(nonce, sizeof nonce, 0) != sizeof nonce) fail("no random bytes", strerror(errno));
        uint8_t *end = put_array(command, 5);
        for (int field = 0; field < 3; field++) end = put_small(end, 0);
        end = put_small(put_array(put_small(end, 0xA0), 5), 10);
        end = put_number(put_bytes(end, nonce, sizeof nonce), ttl_ms);
        memcpy(end, "\xa9" "benchmark" "\xc0", 11), end += 11;
        at = put_number(put_small(put_array(at, 3), 1), place);
        at = put_bytes(at, command, (size_t)(end - command));
    }
    send_out(connection, at);
}

static void renew(Connection *connection, uint64_t due_ns) {
    if (connection->due_ns) fail("sessions were not renewed before it was time again", "");
    const uint32_t count = connection->asked = connection->opened;
    uint8_t *at = put_count(put_number(put_small(put_array(put_array(put_array(out + HEADER_BYTES, 2), 1), 3), ALIVE), 1), count);
    for (uint32_t place = 0; place < count; place++) at = put_number(at, connection->sessions[place]);
    send_out(connection, at);
    connection->due_ns = due_ns, open_renewals++;
}

static void on_opened(Connection *connection, Reader *body, uint64_t fields) {
    take_number(body), take_number(body), take_number(body);
    Reader result = take_nested(body);
    take_array(&result);
    if (take_number(&result) != SESSION_OPENED) fail("no session was opened", "");
    connection->sessions[connection->opened++] = take_number(&result);
    opened++;
    for (fields -= 5; fields; fields--) skip(body);
    if (connection->opened % OPENED_AT_ONCE == 0) ask_some(connection);
}

static void on_alive(Connection *connection, Reader *body, uint64_t fields, uint64_t now) {
    take_number(body);
    const uint64_t alive = take_array(body);
    for (uint64_t left = alive; left; left--) skip(body);
    const uint64_t over = take_array(body);
    for (uint64_t left = over; left; left--) skip(body);
    for (fields -= 4; fields; fields--) skip(body);
    if (over || alive != connection->asked) fail("a session does not live on", "");
    const uint64_t took_us = (now - connection->due_ns) / 1000;
    latencies[took_us < LATENCY_US_MAX ? took_us : LATENCY_US_MAX]++;
    connection->due_ns = 0, renewals += alive, open_renewals--, frames++;
}

static void on_readable(Connection *connection) {
    if (!receive(&connection->wire)) fail("the member closed a connection", "");
    const uint64_t now = now_ns();
    size_t used = 0;
    uint8_t kind;
    Reader body;
    while (next_frame(&connection->wire, &used, &kind, &body)) {
        if (kind != ANSWERS) fail("a frame that is no answer", "");
        for (uint64_t left = take_array(&body); left; left--) {
            const uint64_t fields = take_array(&body), tag = take_number(&body);
            if (tag == REPLY)
                on_opened(connection, &body, fields);
            else if (tag == ALIVE)
                on_alive(connection, &body, fields, now);
            else
                fail("a request was refused", "");
        }
    }
    forget(&connection->wire, used);
}

static void read_until(int poll, uint64_t until_ns) {
    struct epoll_event events[256];
    const uint64_t now = now_ns(), left = until_ns > now ? until_ns - now : 0;
    const int count = epoll_pwait2(poll, events, 256, &(struct timespec){(time_t)(left / 1000000000u), (long)(left % 1000000000u)}, NULL);
    for (int place = 0; place < count; place++) on_readable(events[place].data.ptr);
}

static double latency_ms(double share) {
    uint64_t below = (uint64_t)((double)frames * share), us = 0;
    while (us < LATENCY_US_MAX && below >= latencies[us]) below -= latencies[us++];
    return (double)us / 1000;
}

int main(int argc, char **argv) {
    if (argc != 6) fail("usage", "sessions ENDPOINTS CONNECTIONS SESSIONS TTL_MS SECONDS");
    const int connections = atoi(argv[2]);
    sessions_each = (uint32_t)atoi(argv[3]), ttl_ms = (uint64_t)atoll(argv[4]);
    const double seconds = atof(argv[5]);
    if (connections < 1 || !sessions_each || sessions_each > 10000 || !ttl_ms) fail("usage", "connections, 1 to 10000 sessions of each, a time to live");
    prctl(PR_SET_TIMERSLACK, 1ul);
    latencies = calloc(LATENCY_US_MAX + 1, sizeof *latencies);
    Connection *all = calloc((size_t)connections, sizeof *all);
    out = malloc(HEADER_BYTES + 64 + (size_t)sessions_each * 9 + OPENED_AT_ONCE * 96);
    if (!latencies || !all || !out) fail("no memory", "");
    char *host, *port;
    const int poll = epoll_create1(EPOLL_CLOEXEC);
    for (int number = 0; number < connections; number++) {
        Connection *connection = &all[number];
        if (!number)
            open_at_leader(&connection->wire, argv[1], &host, &port);
        else if (!open_wire(&connection->wire, host, port))
            fail("the leader opened no session for every connection", "");
        struct epoll_event wanted = {.events = EPOLLIN, .data.ptr = connection};
        if (epoll_ctl(poll, EPOLL_CTL_ADD, connection->wire.descriptor, &wanted)) fail("epoll", strerror(errno));
        if (!(connection->sessions = calloc(sessions_each, sizeof *connection->sessions))) fail("no memory", "");
    }
    const uint64_t asked_ns = now_ns(), wanted = (uint64_t)connections * sessions_each, turn_ns = ttl_ms * 1000000 / RENEWALS_IN_TTL;
    for (int number = 0; number < connections; number++) ask_some(&all[number]);
    // Those that are there are renewed before the last are.
    uint64_t turn = 0;
    const uint64_t each_ns = turn_ns / (uint64_t)connections;
    uint64_t until_ns = UINT64_MAX;
    double took_to_open = 0, cpu_before = 0;
    for (uint64_t due_ns = asked_ns; due_ns < until_ns; due_ns += each_ns, turn++) {
        while (now_ns() < due_ns) read_until(poll, due_ns);
        Connection *connection = &all[turn % (uint64_t)connections];
        if (connection->opened) renew(connection, due_ns);
        if (until_ns == UINT64_MAX && opened == wanted) {
            took_to_open = (double)(now_ns() - asked_ns) / 1e9;
            printf("ready\n");
            fflush(stdout);
            until_ns = now_ns() + (uint64_t)(seconds * 1e9), cpu_before = cpu_seconds();
            memset(latencies, 0, (LATENCY_US_MAX + 1) * sizeof *latencies);
            renewals = frames = 0;
        }
    }
    const uint64_t give_up_ns = now_ns() + LATE_SECONDS_MAX * 1000000000ull;
    while (open_renewals) {
        if (now_ns() > give_up_ns) fail("not all were renewed in time", "");
        read_until(poll, give_up_ns);
    }
    uint32_t longest_us = LATENCY_US_MAX;
    while (longest_us && !latencies[longest_us]) longest_us--;
    printf("{\"sessions\": %llu, \"opened_per_second\": %.0f, \"renewals\": %llu, ", (unsigned long long)opened, (double)opened / took_to_open,
           (unsigned long long)renewals);
    printf("\"ms\": {\"p50\": %.3f, \"p99\": %.3f, \"max\": %.3f}, \"generator\": {\"cpu_share\": %.2f}}\n", latency_ms(0.5), latency_ms(0.99),
           (double)longest_us / 1000, (cpu_seconds() - cpu_before) / seconds);
    return 0;
}
