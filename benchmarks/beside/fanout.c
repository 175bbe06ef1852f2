// Watchers of one key, all told of every change: W watches on each of C connections, while the key is put R times a second.
//
//     fanout ENDPOINTS CONNECTIONS WATCHES RATE SECONDS        ENDPOINTS: host:port,host:port
//
// Says "ready" once every watch is in place, and puts then. Each watch must be told of each put once, in order, at a revision that
// grows; a put's time to a watch counts from when the put was due. Prints one JSON object. The watched key is put by a connection of its own.

#include <sys/epoll.h>
#include <sys/prctl.h>

#include "../wire.h"

enum { PUSH = 4, GAP = 5, PROGRESS = 6, VALUE_BYTES = 64, LATENCY_US_MAX = 10000000, LATE_SECONDS_MAX = 20, WATCHES_OF_FRAME = 500 };

typedef struct {
    uint64_t revision;
    uint32_t seen;
    bool is_there;
} Watch;

typedef struct {
    Wire wire;
    Watch *watches;
} Connection;

static uint32_t watches_each, *latencies;
static uint64_t in_place, delivered, total_us, *due_ns, acknowledged;
static uint8_t out[HEADER_BYTES + 16 + WATCHES_OF_FRAME * 32];

static void ask_watches(Connection *connection) {
    for (uint32_t first = 0; first < watches_each; first += WATCHES_OF_FRAME) {
        const uint32_t count = watches_each - first < WATCHES_OF_FRAME ? watches_each - first : WATCHES_OF_FRAME;
        uint8_t *at = put_array(out + HEADER_BYTES, 2);
        *at++ = 0xDC, *at++ = (uint8_t)(count >> 8), *at++ = (uint8_t)count;
        for (uint32_t place = first; place < first + count; place++) {
            at = put_number(put_small(put_array(at, 6), 4), place);
            at = put_bytes(put_bytes(at, "watched", 7), "watchee", 7);
            at = put_small(put_small(at, 0), 0);  // from now on, keys and values
        }
        at = put_small(at, 0);
        seal(out, ASKS, (size_t)(at - out));
        send_all(&connection->wire, out, (size_t)(at - out));
    }
}

static void send_put(Wire *wire, uint32_t number) {
    uint8_t command[160], value[VALUE_BYTES] = {0};
    write_u32(value, number);
    uint8_t *at = put_number(put_number(put_number(put_array(command, 5), wire->session), number), number);
    at = put_small(put_array(put_small(at, 0xA0), 4), 1);
    at = put_small(put_bytes(put_bytes(at, "watched", 7), value, VALUE_BYTES), 0xC2);
    const size_t command_bytes = (size_t)(at - command);
    at = put_number(put_small(put_array(put_array(put_array(out + HEADER_BYTES, 2), 1), 3), 1), number);
    at = put_small(put_bytes(at, command, command_bytes), 0);
    seal(out, ASKS, (size_t)(at - out));
    send_all(wire, out, (size_t)(at - out));
}

static void on_event(Watch *watch, Reader *body, uint64_t revision, uint64_t now) {
    uint64_t fields = take_array(body);
    if (take_number(body) != 0) fail("a watch was told of something that was no put", "");
    take_nested(body);
    Reader value = take_nested(body);
    for (fields -= 3; fields; fields--) skip(body);
    const uint32_t number = read_u32(take(&value, 4));
    if (number != watch->seen + 1 || revision <= watch->revision) fail("a watch missed a put, or was told out of order", "");
    watch->seen = number, watch->revision = revision;
    const uint64_t took_us = (now - due_ns[number]) / 1000;
    latencies[took_us < LATENCY_US_MAX ? took_us : LATENCY_US_MAX]++;
    total_us += took_us, delivered++;
}

static void on_answer(Connection *connection, Reader *body, uint64_t now) {
    uint64_t fields = take_array(body);
    const uint64_t tag = take_number(body), request = take_number(body);
    if (tag == PUSH) {
        if (request >= watches_each) fail("a push to no watch of ours", "");
        Watch *watch = &connection->watches[request];
        in_place += !watch->is_there, watch->is_there = true;
        for (uint64_t changes = take_array(body); changes; changes--) {
            take_array(body);
            const uint64_t revision = take_number(body);
            for (uint64_t events = take_array(body); events; events--) on_event(watch, body, revision, now);
        }
        fields--;
    } else if (tag == REPLY) {
        acknowledged++;
    } else if (tag != PROGRESS) {
        fail(tag == GAP ? "a watch has a gap" : "a put was refused", "");
    }
    for (fields -= 2; fields; fields--) skip(body);
}

static void on_readable(Connection *connection) {
    if (!receive(&connection->wire)) fail("the member closed a connection", "");
    const uint64_t now = now_ns();
    size_t used = 0;
    uint8_t kind;
    Reader body;
    while (next_frame(&connection->wire, &used, &kind, &body)) {
        if (kind != ANSWERS) fail("a frame that is no answer", "");
        for (uint64_t left = take_array(&body); left; left--) on_answer(connection, &body, now);
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
    uint64_t below = (uint64_t)((double)delivered * share), us = 0;
    while (us < LATENCY_US_MAX && below >= latencies[us]) below -= latencies[us++];
    return (double)us / 1000;
}

int main(int argc, char **argv) {
    if (argc != 6) fail("usage", "fanout ENDPOINTS CONNECTIONS WATCHES RATE SECONDS");
    const int connections = atoi(argv[2]);
    watches_each = (uint32_t)atoi(argv[3]);
    const double rate = atof(argv[4]);
    const uint32_t puts = (uint32_t)(rate * atof(argv[5]));
    if (connections < 1 || !watches_each || !puts) fail("usage", "at least one connection, one watch and one put");
    prctl(PR_SET_TIMERSLACK, 1ul);
    latencies = calloc(LATENCY_US_MAX + 1, sizeof *latencies);
    due_ns = calloc(puts + 1, sizeof *due_ns);
    Connection *all = calloc((size_t)connections + 1, sizeof *all);
    if (!latencies || !due_ns || !all) fail("no memory", "");
    char *host, *port;
    const int poll = epoll_create1(EPOLL_CLOEXEC);
    for (int number = 0; number <= connections; number++) {
        if (!number)
            open_at_leader(&all[number].wire, argv[1], &host, &port);
        else if (!open_wire(&all[number].wire, host, port))
            fail("the leader opened no session for every connection", "");
        struct epoll_event wanted = {.events = EPOLLIN, .data.ptr = &all[number]};
        if (epoll_ctl(poll, EPOLL_CTL_ADD, all[number].wire.descriptor, &wanted)) fail("epoll", strerror(errno));
        if (!number) continue;  // it puts
        if (!(all[number].watches = calloc(watches_each, sizeof(Watch)))) fail("no memory", "");
        ask_watches(&all[number]);
    }
    const uint64_t all_watches = (uint64_t)connections * watches_each;
    const uint64_t asked_ns = now_ns();
    while (in_place < all_watches) {
        if (now_ns() > asked_ns + LATE_SECONDS_MAX * 1000000000ull) fail("watches are not in place in time", "");
        read_until(poll, now_ns() + 100000000u);
    }
    printf("ready\n");
    fflush(stdout);
    const double cpu_before = cpu_seconds();
    const uint64_t began_ns = now_ns();
    for (uint32_t number = 1; number <= puts; number++) {
        due_ns[number] = began_ns + (uint64_t)((double)number * 1e9 / rate);
        while (now_ns() < due_ns[number]) read_until(poll, due_ns[number]);
        send_put(&all[0].wire, number);
    }
    const uint64_t give_up_ns = now_ns() + LATE_SECONDS_MAX * 1000000000ull;
    while (delivered < all_watches * puts || acknowledged < puts) {
        if (now_ns() > give_up_ns) fail("not all was delivered in time", "");
        read_until(poll, give_up_ns);
    }
    const double took = (double)(now_ns() - began_ns) / 1e9;
    uint32_t longest_us = LATENCY_US_MAX;
    while (longest_us && !latencies[longest_us]) longest_us--;
    printf("{\"watches\": %llu, \"puts\": %u, \"delivered\": %llu, ", (unsigned long long)all_watches, puts, (unsigned long long)delivered);
    printf("\"ms\": {\"mean\": %.3f, \"p50\": %.3f, \"p99\": %.3f, \"max\": %.3f}, \"generator\": {\"cpu_share\": %.2f}}\n",
           (double)total_us / (double)delivered / 1000, latency_ms(0.5), latency_ms(0.99), (double)longest_us / 1000,
           (cpu_seconds() - cpu_before) / took);
    return 0;
}
