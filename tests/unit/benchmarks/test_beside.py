"""What the benchmark beside etcd and ZooKeeper makes of what others print, and of figures."""

from xml.etree import ElementTree

import pytest

from benchmarks.beside import etcd, fanout, journal, latency, plots, recovery, report, sessions, zookeeper
from benchmarks.beside.clusters import Load, parse_shape
from benchmarks.beside.rounds import Sample, What, Who, wrong_writes

H2LOAD = """
finished in 1.00s, 4976.00 req/s, 409.88KB/s
requests: 4976 total, 4996 started, 4976 done, 4976 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 4976 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 409.88KB (419716) total, 9.84KB (10072) headers (space savings 94.67%), 165.10KB (169060) data
"""
SRVR = "Zookeeper version: 3.9.5\nZxid: 0x10003110d\nMode: follower\nNode count: 105\n"
OURS, OLD, NEW = Who("coordnode", "here", "leader"), Who("etcd", "3.4", "leader"), Who("etcd", "3.7", "spread")
PUT = What("put", parse_shape("100x10"))


def load(per_second: float, writes: int = 0, under_way: int = 0) -> Load:
    return Load(per_second, 100, 1.0, 1.0, 2.0, 5.0, 0.1, writes, under_way)


def rounds_of(figures: dict[Who, list[float]]) -> list[Sample]:
    return [Sample(number, who, PUT, load(one), 20.0, 10.0) for who, those in figures.items() for number, one in enumerate(those)]


def test_h2load_is_understood() -> None:
    assert etcd.parse_h2load(H2LOAD) == etcd.Said(4976, 0, True, 169060)
    assert not etcd.parse_h2load(H2LOAD.replace("0 5xx", "1 5xx")).is_all_200
    with pytest.raises(SystemExit, match="something else"):
        etcd.parse_h2load("h2load: unrecognized option")


def test_the_log_of_h2load_gives_each_requests_time() -> None:
    assert etcd.parse_log("1795874202227039\t200\t3377\n1795874202227075\t200\t870\n") == [0.87, 3.377]


def test_a_reply_without_a_message_is_a_refusal() -> None:
    said = etcd.Said(succeeded=100, failed=0, is_all_200=True, data_bytes=3_300)
    assert etcd.wrong_with(said, 33, 10) == ""
    assert etcd.wrong_with(said._replace(data_bytes=3_630), 33, 10) == ""  # ten more were under way
    assert "100 replies of 33 bytes have 3267" in etcd.wrong_with(said._replace(data_bytes=3_267), 33, 10)
    assert etcd.wrong_with(said._replace(failed=1), 33, 10) == "1 requests failed"


def test_a_put_of_etcd_is_the_bytes_that_protobuf_wants() -> None:
    assert etcd.grpc(etcd.message("get")) == b"\x00\x00\x00\x00\x12\x0a\x10" + b"0000000000000001"
    compare_and_put = etcd.message("cas")
    assert compare_and_put[:2] == b"\x0a" + bytes([2 + 18 + 66])  # one compare: its target, key and value
    assert etcd.field(2, b"x" * 200)[:3] == b"\x12\xc8\x01"  # a length of two bytes


def test_the_state_of_zookeeper_is_understood_once_it_serves() -> None:
    assert zookeeper.parse_srvr(SRVR) == zookeeper.State(0x1_0003_110D, "follower", 105)
    assert zookeeper.parse_srvr("This ZooKeeper instance is not currently serving requests\n") is None


def test_writes_that_succeeded_are_counted_once_by_the_cluster() -> None:
    assert wrong_writes(load(1.0, writes=100), 100) == ""
    assert "the cluster counts 99" in wrong_writes(load(1.0, writes=100), 99)
    assert "the cluster counts 101" in wrong_writes(load(1.0, writes=100), 101)
    assert wrong_writes(load(1.0, writes=100, under_way=3), 103) == ""


def test_ours_is_held_against_the_best_of_another_product_round_by_round() -> None:
    found = report.rows(rounds_of({OURS: [50.0, 60.0, 40.0], OLD: [11.0, 9.0, 10.0], NEW: [5.0, 30.0, 6.0]}))
    assert [(row.who, row.load.per_second, row.is_best) for row in found] == [(OURS, 50.0, True), (OLD, 10.0, True), (NEW, 6.0, False)]
    (ratio,) = report.ratios(found)
    assert ratio.them == OLD
    assert [round(one, 2) for one in ratio.each] == [4.55, 6.67, 4.0]
    assert (round(ratio.median, 2), ratio.wanted, ratio.is_kept) == (4.55, 5, False)
    assert "| put 100x10 | etcd 3.4, leader | 4.55 | 4.5 6.7 4.0 | 5 | NO |" in report.ratio_table([ratio])


def test_the_report_has_a_row_and_the_plot_a_bar_for_each() -> None:
    found = report.rows(rounds_of({OURS: [50_000.0], OLD: [10_000.0]}))
    assert "| put 100x10 | coordnode here, leader | 50,000 | 1.00 | 1.00 | 2.0 | 20 | 10 | 5.0, 10% |" in report.table(found)
    drawn = ElementTree.fromstring(plots.plot("put", found))
    widths = [float(one.get("width", "")) for one in drawn.iter("{http://www.w3.org/2000/svg}rect")][1:]
    assert round(widths[0] / widths[1], 2) == 5
    assert "50,000/s, p99 2.0 ms" in [one.text for one in drawn.iter("{http://www.w3.org/2000/svg}text")]


def test_a_time_is_held_against_what_the_machine_took_in_the_same_round() -> None:
    bare = latency.parse_probe('{"sync": {"mean": 0.3, "p99": 0.9}, "echo": {"mean": 0.05}}')
    assert bare == latency.Bare(0.3, 0.9, 0.05)
    single = latency.Turn(latency.SINGLE, bare, 1_000.0, load(1_000.0))
    assert (round(single.bound_ms, 3), single.bounded_ms) == (1.0, 1.0)  # 2.5 x (0.3 + 2 x 0.05), of the mean
    slow = latency.Turn(PUT.shape, bare, 9_000.0, load(4_500.0)._replace(p50_ms=0.4, p99_ms=2.8))
    assert (round(slow.bound_ms, 3), slow.bounded_ms) == (2.7, 2.8)  # 3 x 0.9 is more than 5 x 0.4
    told = latency.section([[single, slow], [single, slow._replace(load=slow.load._replace(p50_ms=1.0))], [single, slow]])
    assert not told.is_kept
    assert "1.04 0.56 1.04 of it | NO" in told.lines
    assert "1.00 1.00 1.00 of it | yes" in told.lines


def test_commits_beside_watches_may_take_twice_as_long_in_most_rounds() -> None:
    told = {"watches": 10_000, "puts": 80, "delivered": 800_000, "ms": {"p50": 20.0, "p99": 60.0}}
    turns = [fanout.Turn(load(500.0), load(500.0)._replace(p99_ms=ms), told) for ms in (3.0, 5.0, 4.0)]
    found = fanout.section(turns)
    assert found.is_kept
    assert "1.50 2.50 2.00 times, wanted 2: yes" in found.lines
    assert not fanout.section(turns[1:2]).is_kept


def test_a_journal_that_lost_records_or_is_too_large_is_found() -> None:
    said = {"records": 30, "per_second": 900_000.0, "read": 10, "read_after_ms": 3.0, "ms": {"p50": 20.0, "p99": 40.0}}
    journals = [{"first": 5, "next": 10, "size_bytes": 500}, {"first": 0, "next": 20, "size_bytes": journal.BYTES_MAX}]
    assert journal.wrong_with(journals, said) == ""
    assert "the journals count 10" in journal.wrong_with(journals[:1], said)
    assert "larger" in journal.wrong_with([journals[0], {**journals[1], "size_bytes": journal.BYTES_MAX + 1}], said)
    assert not journal.section([journal.Turn(said, 5)]).is_kept


def test_what_begins_again_is_told_with_each_time() -> None:
    found = recovery.Found("etcd", "3.7", 1_000_000, 40.0, 512.0, 600.0, 700.0, 2.5, [1_500.0, 1_000.0, 1_200.0])
    assert "| etcd 3.7 | 1,000,000 | 512 | 600 | 700 | 2.5 | 1200: 1500 1000 1200 |" in recovery.section([found]).lines


def test_sessions_are_told_with_what_they_cost_when_they_were_the_first() -> None:
    said = {"sessions": 100_000, "opened_per_second": 18_000.0, "renewals": 75_000, "ms": {"p50": 1.5, "p99": 30.0}}
    slow = load(500.0)._replace(p99_ms=3.0)
    found = sessions.section([sessions.Turn(load(500.0), slow, said, 2.5, 700.0), sessions.Turn(load(500.0), slow, said, 2.6, 3.0)])
    assert "700 bytes of the leader's memory for each; 75,000 renewals, none lost" in found.lines
    assert "2.00 ms without, 3.00 ms beside: 1.50 1.50 times" in found.lines
