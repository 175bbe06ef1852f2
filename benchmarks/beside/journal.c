// Records appended to journals, each producer to one of its own, and one reader that verifies the first of them at once.
//
//     journal ENDPOINTS PRODUCERS OUTSTANDING SECONDS BATCH BYTES_MAX        ENDPOINTS: host:port,host:port
//
// A record has 64 bytes and begins with its offset; a batch of them is one request. Journals hold at most BYTES_MAX, so old records go
// while new ones come. An append counts when it is acknowledged at the offset that it must have. The reader asks for what comes next
// as soon as it has the last, looks at every checksum and every record, and must reach the end. Prints one JSON object.

#include <sys/epoll.h>

#include "../wire.h"

enum {
    RECORD_BYTES = 64,
    FAILURE = 6,
    HISTORY_GONE = 27,
    APPENDED = 100,
    RECORDS = 103,
    OUTSTANDING_MAX = 64,
    FRAME_BYTES = 28,  // of a batch as it lies in a journal, before its records
    READ_BYTES_MAX = 1000000,
    LATENCY_US_MAX = 4000000,
    LATE_SECONDS_MAX = 20,
};

typedef struct {
    Wire wire;
    uint32_t number, sent, answered;
    uint64_t due_ns[OUTSTANDING_MAX];
    uint8_t *frame;
    size_t frame_bytes, request_at, sequence_at, lowest_open_at, data_at;
} Producer;

static uint32_t batch, *latencies;
static uint64_t until_ns, done, open_requests, read_records, bytes_max;
static char prefix[32];

static size_t name_of(char *name, uint32_t number) { return (size_t)sprintf(name, "%s-%06u", prefix, number); }

static uint8_t *put_long(uint8_t *at, size_t size) {
    *at = 0xC6;
    write_u32(at + 1, (uint32_t)size);
    return at + 5;
}

// A write of this command, whose operation begins at `command_at`'s end; sealed once its numbers are in.
static uint8_t *begin_write(Producer *producer, uint8_t **length_at) {
    uint8_t *at = put_small(put_array(put_array(put_array(producer->frame + HEADER_BYTES, 2), 1), 3), 1);
    producer->request_at = (size_t)(at - producer->frame) + 1;
    at = put_number(at, 1);
    *length_at = at;
    at = put_number(put_array(put_long(at, 0), 5), UINT64_MAX);
    write_u64(at - 8, producer->wire.session);
    producer->sequence_at = (size_t)(at - producer->frame) + 1;
    at = put_number(at, 1);
    producer->lowest_open_at = (size_t)(at - producer->frame) + 1;
    return put_small(put_number(at, 1), 0xA0);
}

static void end_write(Producer *producer, uint8_t *length_at, uint8_t *at) {
    put_long(length_at, (size_t)(at - length_at) - 5);
    at = put_small(at, 0);  // no patience said
    producer->frame_bytes = (size_t)(at - producer->frame);
}

static void send_write(Producer *producer) {
    const uint32_t sequence = ++producer->sent;
    write_u32(producer->frame + producer->request_at, sequence);
    write_u32(producer->frame + producer->sequence_at, sequence);
    write_u32(producer->frame + producer->lowest_open_at, producer->answered + 1);
    seal(producer->frame, ASKS, producer->frame_bytes);
    producer->due_ns[sequence % OUTSTANDING_MAX] = now_ns();
    send_all(&producer->wire, producer->frame, producer->frame_bytes);
    open_requests++;
}

// The journal is there, with its bound, before anything is appended.
static void configure(Producer *producer) {
    char name[64];
    uint8_t *length_at, *at = put_small(put_array(begin_write(producer, &length_at), 3), 100);
    const size_t name_bytes = name_of(name, producer->number);
    end_write(producer, length_at, put_number(put_bytes(at, name, name_bytes), bytes_max));
    send_write(producer);
}

static void prepare(Producer *producer) {
    char name[64];
    uint8_t *length_at, *at = put_small(put_array(begin_write(producer, &length_at), 5), 101);
    at = put_number(put_bytes(at, name, name_of(name, producer->number)), batch);
    at = put_long(at, (size_t)batch * RECORD_BYTES);
    producer->data_at = (size_t)(at - producer->frame);
    memset(at, 'r', (size_t)batch * RECORD_BYTES);
    at = put_bytes(at + (size_t)batch * RECORD_BYTES, "", 0);  // all of one size
    end_write(producer, length_at, at);
}

// The first request of a session made the journal, so the n-th append is request n + 1.
static uint64_t offset_of(uint32_t sequence) { return (uint64_t)(sequence - 2) * batch; }

static void append(Producer *producer) {
    uint8_t *record = producer->frame + producer->data_at;
    for (uint64_t offset = offset_of(producer->sent + 1), end = offset + batch; offset < end; offset++, record += RECORD_BYTES)
        write_u64(record, offset);
    send_write(producer);
}

static Reader take_reply(Reader *body, uint64_t *request) {
    uint64_t fields = take_array(body);
    if (take_number(body) != REPLY) fail("a request was refused", "");
    *request = take_number(body);
    take_number(body), take_number(body);
    const Reader result = take_nested(body);
    for (fields -= 5; fields; fields--) skip(body);
    return result;
}

static void on_appended(Producer *producer, Reader *body, uint64_t now) {
    uint64_t request;
    Reader result = take_reply(body, &request);
    if (request != ++producer->answered) fail("appends of one producer were answered out of order", "");
    open_requests--;
    if (request == 1) return;  // the journal is made
    take_array(&result);
    const uint64_t tag = take_number(&result);
    take_number(&result);
    const uint64_t first = take_number(&result), next = take_number(&result);
    if (tag != APPENDED || first != offset_of((uint32_t)request) || next != first + batch) fail("records are not where they must be", "");
    const uint64_t took_us = (now - producer->due_ns[request % OUTSTANDING_MAX]) / 1000;
    latencies[took_us < LATENCY_US_MAX ? took_us : LATENCY_US_MAX]++;
    done++;
    if (now < until_ns) append(producer);
}

static void ask_records(Wire *reader) {
    uint8_t out[256], read[128];
    char name[64];
    uint8_t *at = put_bytes(put_small(put_array(read, 5), 106), name, name_of(name, 0));
    at = put_number(put_number(put_number(at, read_records), 0), READ_BYTES_MAX);
    const size_t read_bytes = (size_t)(at - read);
    at = put_small(put_small(put_array(put_array(put_array(out + HEADER_BYTES, 2), 1), 5), 2), 1);
    at = put_small(put_small(put_small(put_bytes(at, read, read_bytes), 0xC2), 0), 0);
    seal(out, ASKS, (size_t)(at - out));
    send_all(reader, out, (size_t)(at - out));
}

static uint32_t little(const uint8_t *at) { return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24; }

static void verify(Reader frames) {
    while (frames.at < frames.end) {
        const uint8_t *head = take(&frames, FRAME_BYTES);
        const uint32_t bytes = little(head + 8), count = little(head + 20), each = little(head + 24);
        if (each != RECORD_BYTES || bytes != count * RECORD_BYTES) fail("a batch in a journal is not as it was appended", "");
        const uint8_t *record = take(&frames, bytes);
        if ((uint32_t)crc32(0, head + 4, FRAME_BYTES - 4 + bytes) != little(head)) fail("a batch's checksum is wrong", "");
        uint64_t offset = (uint64_t)little(head + 16) << 32 | little(head + 12);
        for (uint32_t place = 0; place < count; place++, offset++, record += RECORD_BYTES) {
            if (offset < read_records) continue;  // the first frame may begin before what was asked for
            if (offset != read_records || ((uint64_t)read_u32(record) << 32 | read_u32(record + 4)) != offset)
                fail("a record is missing, or another", "");
            read_records++;
        }
    }
}

// One batch of answers; true: something was read.
static bool on_records(Reader *body) {
    uint64_t request;
    Reader result = take_reply(body, &request);
    take_array(&result);
    const uint64_t tag = take_number(&result);
    if (tag == FAILURE) fail("a read failed", take_number(&result) == HISTORY_GONE ? "the reader is slower than old records go" : "");
    if (tag != RECORDS) fail("the reader was told something else", "");
    for (int field = 0; field < 3; field++) take_number(&result);
    const uint64_t before = read_records;
    verify(take_nested(&result));
    return read_records > before;
}

static void on_readable(Producer *producer, Wire *reader, bool *wants_more) {
    Wire *wire = producer ? &producer->wire : reader;
    if (!receive(wire)) fail("the member closed a connection", "");
    const uint64_t now = now_ns();
    size_t used = 0;
    uint8_t kind;
    Reader body;
    while (next_frame(wire, &used, &kind, &body)) {
        if (kind != ANSWERS) fail("a frame that is no answer", "");
        for (uint64_t left = take_array(&body); left; left--) {
            if (producer) {
                on_appended(producer, &body, now);
            } else if (on_records(&body)) {
                ask_records(reader);
            } else {
                *wants_more = true;
            }
        }
    }
    forget(wire, used);
}

static double latency_ms(double share) {
    uint64_t below = (uint64_t)((double)done * share), us = 0;
    while (us < LATENCY_US_MAX && below >= latencies[us]) below -= latencies[us++];
    return (double)us / 1000;
}

int main(int argc, char **argv) {
    if (argc != 7) fail("usage", "journal ENDPOINTS PRODUCERS OUTSTANDING SECONDS BATCH BYTES_MAX");
    const int producers = atoi(argv[2]), outstanding = atoi(argv[3]);
    batch = (uint32_t)atoi(argv[5]), bytes_max = (uint64_t)atoll(argv[6]);
    if (producers < 1 || outstanding < 1 || outstanding > OUTSTANDING_MAX || !batch) fail("usage", "a producer, 1 to 64 outstanding, a batch");
    snprintf(prefix, sizeof prefix, "bench-%x", (unsigned)now_ns());
    latencies = calloc(LATENCY_US_MAX + 1, sizeof *latencies);
    Producer *all = calloc((size_t)producers, sizeof *all);
    if (!latencies || !all) fail("no memory", "");
    char *host, *port;
    const int poll = epoll_create1(EPOLL_CLOEXEC);
    for (int number = 0; number < producers; number++) {
        Producer *producer = &all[number];
        producer->number = (uint32_t)number;
        if (!number)
            open_at_leader(&producer->wire, argv[1], &host, &port);
        else if (!open_wire(&producer->wire, host, port))
            fail("the leader opened no session for every connection", "");
        if (!(producer->frame = malloc(HEADER_BYTES + 256 + (size_t)batch * RECORD_BYTES))) fail("no memory", "");
        struct epoll_event wanted = {.events = EPOLLIN, .data.ptr = producer};
        if (epoll_ctl(poll, EPOLL_CTL_ADD, producer->wire.descriptor, &wanted)) fail("epoll", strerror(errno));
        configure(producer);
    }
    Wire reader;
    if (!open_wire(&reader, host, port)) fail("the reader has no connection", "");
    struct epoll_event wanted = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(poll, EPOLL_CTL_ADD, reader.descriptor, &wanted)) fail("epoll", strerror(errno));
    struct epoll_event events[64];
    bool wants_more = true;
    while (open_requests) {
        const int count = epoll_wait(poll, events, 64, LATE_SECONDS_MAX * 1000);
        if (count == 0) fail("no reply for seconds", "");
        for (int place = 0; place < count; place++) on_readable(events[place].data.ptr, &reader, &wants_more);
    }
    const double cpu_before = cpu_seconds();
    const uint64_t began_ns = now_ns();
    until_ns = began_ns + (uint64_t)(atof(argv[4]) * 1e9);
    for (int number = 0; number < producers; number++) {
        prepare(&all[number]);
        for (int place = 0; place < outstanding; place++) append(&all[number]);
    }
    double took = 0;
    while (open_requests || read_records < offset_of(all[0].answered + 1)) {
        if (wants_more && read_records < offset_of(all[0].answered + 1)) ask_records(&reader), wants_more = false;
        if (now_ns() > until_ns + LATE_SECONDS_MAX * 1000000000ull) fail("the reader does not reach the end", "");
        const int count = epoll_wait(poll, events, 64, 1000);
        for (int place = 0; place < count; place++) on_readable(events[place].data.ptr, &reader, &wants_more);
        if (open_requests) took = (double)(now_ns() - began_ns) / 1e9;
    }
    const double lag = (double)(now_ns() - began_ns) / 1e9 - took, cpu = cpu_seconds() - cpu_before;
    uint32_t longest_us = LATENCY_US_MAX;
    while (longest_us && !latencies[longest_us]) longest_us--;
    printf("{\"prefix\": \"%s\", \"records\": %llu, \"per_second\": %.0f, \"read\": %llu, \"read_after_ms\": %.1f, ", prefix,
           (unsigned long long)(done * batch), (double)(done * batch) / took, (unsigned long long)read_records, lag * 1000);
    printf("\"ms\": {\"p50\": %.3f, \"p99\": %.3f, \"max\": %.3f}, \"generator\": {\"cpu_share\": %.2f}}\n", latency_ms(0.5), latency_ms(0.99),
           (double)longest_us / 1000, cpu / took);
    return 0;
}
