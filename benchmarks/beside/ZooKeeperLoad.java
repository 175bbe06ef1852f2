// Load against ZooKeeper: C connections with N outstanding on each, every reply checked.
//
//     java ZooKeeperLoad ENDPOINTS CONNECTIONS OUTSTANDING SECONDS put|get|cas|pair        ENDPOINTS: host:port,host:port
//
//     java ZooKeeperLoad ENDPOINTS CONNECTIONS OUTSTANDING NODES fill                           makes so many nodes
//
// put: setData; get: sync and getData, sent together; cas: setData of the version that is known; pair: an ephemeral sequential
// node is made below the lock's own, the children are listed (sent together), the node is deleted. Nodes have names of 16
// bytes, one for each outstanding request, and values of 64. Connections go to the endpoints in turn.
//
// One thread over a selector that speaks ZooKeeper's protocol itself: its own client has two threads for each connection. A
// second of the same load comes before what is measured, so that both virtual machines have compiled it. Prints one JSON object;
// what it cost itself is part of it, and `writes`: how far the cluster's zxid must have gone on.

import com.sun.management.OperatingSystemMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.net.InetSocketAddress;
import java.net.StandardSocketOptions;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Locale;

final class ZooKeeperLoad {
    enum Step { ADD, MAKE, FILL, SET, SYNC, GET, ACQUIRE, LIST, DELETE }

    static final int CREATE = 1, DELETE = 2, GET_DATA = 4, SET_DATA = 5, GET_CHILDREN = 8, SYNC = 9, CLOSE = -11;
    static final int NODE_EXISTS = -110, ANY_VERSION = -1, EPHEMERAL_SEQUENTIAL = 3, PING = -2;
    static final int VALUE_BYTES = 64, BUFFER_BYTES = 1 << 17, SESSION_MS = 40_000, LATENCY_US_MAX = 4_000_000;
    static final double WARM_SECONDS = 1;

    static final byte[] ANYBODY = ByteBuffer.allocate(27).putInt(1).putInt(31).putInt(5).put("world".getBytes()).putInt(6).put("anyone".getBytes()).array();
    static final byte[] value = new byte[VALUE_BYTES];
    static final int[] latencies = new int[LATENCY_US_MAX + 1];
    static String kind;
    static long toAdd;
    static long untilNs, done, writes, open, totalUs;

    /** A key, and the one request at a time that is about it. */
    static final class Slot {
        byte[] path;
        byte[] child;
        int version;
        long beganNs;

        Slot(int connection, int place) {
            path = String.format("/%s%06d%08d", kind.equals("pair") ? "l" : "k", connection, place).getBytes(StandardCharsets.US_ASCII);
        }
    }

    record Asked(Step step, Slot slot) {}

    static final class Connection {
        final SocketChannel channel;
        final Slot[] slots;
        final ArrayDeque<Asked> asked = new ArrayDeque<>();
        final ByteBuffer in = ByteBuffer.allocateDirect(BUFFER_BYTES), out = ByteBuffer.allocateDirect(BUFFER_BYTES);
        int xid;

        Connection(String endpoint, int number, int outstanding) throws IOException {
            int colon = endpoint.lastIndexOf(':');
            channel = SocketChannel.open(new InetSocketAddress(endpoint.substring(0, colon), Integer.parseInt(endpoint.substring(colon + 1))));
            channel.setOption(StandardSocketOptions.TCP_NODELAY, true);
            slots = new Slot[outstanding];
            for (int place = 0; place < outstanding; place++) slots[place] = new Slot(number, place);
            out.putInt(45).putInt(0).putLong(0).putInt(SESSION_MS).putLong(0).putInt(16).put(new byte[16]).put((byte) 0);
            flush();
            ByteBuffer reply = await();
            reply.getInt();
            if (reply.getInt() <= 0) throw new IOException("no session was opened");
            writes++;
        }

        /** The next whole reply, before the selector has this connection. */
        ByteBuffer await() throws IOException {
            while (in.position() < 4 || in.position() < 4 + in.getInt(0)) if (channel.read(in) < 0) throw new IOException("closed by the server");
            ByteBuffer reply = in.duplicate().position(4).limit(4 + in.getInt(0)).slice();
            byte[] copied = new byte[reply.remaining()];
            reply.get(copied);
            in.flip().position(4 + copied.length);
            in.compact();
            return ByteBuffer.wrap(copied);
        }

        void flush() throws IOException {
            out.flip();
            while (out.hasRemaining()) channel.write(out);
            out.clear();
        }

        void header(int type, byte[] path) {
            out.putInt(0).putInt(++xid).putInt(type).putInt(path.length).put(path);
        }

        void close() throws IOException {
            out.putInt(8).putInt(++xid).putInt(CLOSE);
            channel.configureBlocking(true);
            flush();
            ByteBuffer reply = await();
            if (reply.getInt(0) != xid || reply.getInt(12) != 0) throw new IOException("a session was not closed");
            writes++;
            channel.close();
        }

        void ask(Step step, Slot slot) {
            int at = out.position();
            switch (step) {
                case ADD -> {
                    header(CREATE, slot.path);
                    out.putInt(VALUE_BYTES).put(value).put(ANYBODY).putInt(0);
                }
                case MAKE, ACQUIRE -> {
                    header(CREATE, step == Step.MAKE ? slot.path : (new String(slot.path, StandardCharsets.US_ASCII) + "/").getBytes(StandardCharsets.US_ASCII));
                    out.putInt(0).put(ANYBODY).putInt(step == Step.MAKE ? 0 : EPHEMERAL_SEQUENTIAL);
                }
                case FILL, SET -> {
                    header(SET_DATA, slot.path);
                    out.putInt(VALUE_BYTES).put(value).putInt(step == Step.SET && kind.equals("cas") ? slot.version : ANY_VERSION);
                }
                case SYNC -> header(SYNC, slot.path);
                case GET -> {
                    header(GET_DATA, slot.path);
                    out.put((byte) 0);
                }
                case LIST -> {
                    header(GET_CHILDREN, slot.path);
                    out.put((byte) 0);
                }
                case DELETE -> {
                    header(DELETE, slot.child);
                    out.putInt(ANY_VERSION);
                }
            }
            out.putInt(at, out.position() - at - 4);
            asked.add(new Asked(step, slot));
            open++;
        }

        void begin(Slot slot, long now) {
            slot.beganNs = now;
            switch (kind) {
                case "fill" -> {
                    if (toAdd == 0) return;
                    slot.path = String.format("/f%014d", --toAdd).getBytes(StandardCharsets.US_ASCII);
                    ask(Step.ADD, slot);
                }
                case "get" -> {
                    ask(Step.SYNC, slot);
                    ask(Step.GET, slot);
                }
                case "pair" -> {
                    ask(Step.ACQUIRE, slot);
                    ask(Step.LIST, slot);
                }
                default -> ask(Step.SET, slot);
            }
        }

        void onReadable() throws IOException {
            if (channel.read(in) < 0) throw new IOException("closed by the server");
            long now = System.nanoTime();
            in.flip();
            while (in.remaining() >= 4 && in.remaining() >= 4 + in.getInt(in.position())) {
                int end = in.position() + 4 + in.getInt();
                onReply(now);
                in.position(end);
            }
            in.compact();
            flush();
        }

        void onReply(long now) throws IOException {
            int answered = in.getInt();
            if (answered == PING) return;
            in.getLong();
            int error = in.getInt();
            Asked next = asked.remove();
            open--;
            Step step = next.step();
            Slot slot = next.slot();
            if (answered != xid - asked.size()) throw new IOException("an answer to another request");
            if (error != 0 && !(step == Step.MAKE && error == NODE_EXISTS)) throw new IOException(step + " was answered with error " + error);
            boolean isOver = false;
            switch (step) {
                case ADD, MAKE, FILL, SET, ACQUIRE, DELETE -> writes++;
                default -> { }
            }
            switch (step) {
                case FILL, SET -> {
                    int version = in.getInt(in.position() + 32);
                    if (in.getInt(in.position() + 52) != VALUE_BYTES || version <= slot.version && slot.version != 0) throw new IOException("a put did not happen");
                    if (step == Step.SET && kind.equals("cas") && version != slot.version + 1) throw new IOException("a comparison did not hold");
                    slot.version = version;
                    isOver = step == Step.SET;
                }
                case GET -> {
                    if (in.getInt() != VALUE_BYTES) throw new IOException("a get got another value than was put");
                    for (byte wanted : value) if (in.get() != wanted) throw new IOException("a get got another value than was put");
                    isOver = true;
                }
                case ACQUIRE -> {
                    slot.child = new byte[in.getInt()];
                    in.get(slot.child);
                }
                case LIST -> {
                    if (in.getInt() != 1 || in.getInt() != slot.child.length - slot.path.length - 1) throw new IOException("not the only one in line");
                    ask(Step.DELETE, slot);
                }
                case ADD, DELETE -> isOver = true;
                default -> { }
            }
            if (!isOver) return;
            long us = (now - slot.beganNs) / 1000;
            latencies[(int) Math.min(us, LATENCY_US_MAX)]++;
            totalUs += us;
            done++;
            if (now < untilNs) begin(slot, now);
        }
    }

    static void drain(Selector selector) throws IOException {
        while (open > 0) {
            if (selector.select(10_000) == 0) throw new IOException("no reply for seconds");
            for (SelectionKey key : selector.selectedKeys()) ((Connection) key.attachment()).onReadable();
            selector.selectedKeys().clear();
        }
    }

    static void run(Selector selector, Connection[] all, double seconds) throws IOException {
        long began = System.nanoTime();
        untilNs = kind.equals("fill") ? Long.MAX_VALUE : began + (long) (seconds * 1e9);
        for (Connection connection : all) {
            for (Slot slot : connection.slots) connection.begin(slot, System.nanoTime());
            connection.flush();
        }
        drain(selector);
    }

    static double latencyMs(double share) {
        long below = (long) (done * share);
        int us = 0;
        while (us < LATENCY_US_MAX && below >= latencies[us]) below -= latencies[us++];
        return us / 1000.0;
    }

    public static void main(String[] arguments) throws IOException {
        String[] endpoints = arguments[0].split(",");
        int connections = Integer.parseInt(arguments[1]), outstanding = Integer.parseInt(arguments[2]);
        double seconds = Double.parseDouble(arguments[3]);
        kind = arguments[4];
        for (int place = 0; place < VALUE_BYTES; place++) value[place] = (byte) place;
        Selector selector = Selector.open();
        Connection[] all = new Connection[connections];
        for (int number = 0; number < connections; number++) {
            all[number] = new Connection(endpoints[number % endpoints.length], number, outstanding);
            all[number].channel.configureBlocking(false);
            all[number].channel.register(selector, SelectionKey.OP_READ, all[number]);
        }
        for (Connection connection : all) {
            for (Slot slot : kind.equals("fill") ? new Slot[0] : connection.slots) {
                connection.ask(Step.MAKE, slot);
                connection.ask(Step.FILL, slot);
            }
            connection.flush();
        }
        drain(selector);
        if (kind.equals("fill")) toAdd = (long) seconds;
        else run(selector, all, WARM_SECONDS);
        Arrays.fill(latencies, 0);
        done = totalUs = 0;
        OperatingSystemMXBean machine = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
        long cpuBefore = machine.getProcessCpuTime(), began = System.nanoTime();
        run(selector, all, seconds);
        double took = (System.nanoTime() - began) / 1e9, cpu = (machine.getProcessCpuTime() - cpuBefore) / 1e9;
        selector.close();
        for (Connection connection : all) connection.close();
        int longestUs = LATENCY_US_MAX;
        while (longestUs > 0 && latencies[longestUs] == 0) longestUs--;
        System.out.printf(Locale.ROOT, "{\"per_second\": %.0f, \"done\": %d, \"writes\": %d, \"seconds\": %.3f, ", done / took, done, writes, took);
        System.out.printf(Locale.ROOT, "\"ms\": {\"mean\": %.3f, \"p50\": %.3f, \"p90\": %.3f, \"p99\": %.3f, \"max\": %.3f}, ",
            totalUs / 1000.0 / done, latencyMs(0.5), latencyMs(0.9), latencyMs(0.99), longestUs / 1000.0);
        System.out.printf(Locale.ROOT, "\"generator\": {\"cpu_share\": %.2f, \"us_per_request\": %.2f}}%n", cpu / took, cpu * 1e6 / done);
    }
}
