import { describe, expect, it } from 'vitest';
import { matchProblem } from './match-syntax.ts';

describe('matchProblem', () => {
  it.each([
    'ip4.dst == 10.20.0.5 && tcp.dst == 80',
    'ip4.src == {10.0.0.0/8, 192.168.0.0/255.255.0.0} && !(ip4.dst == 10.0.0.0/8)',
    '!(ip.proto != {6, 17}) && !(!tcp)',
    'ip6.src == fd00:10:66::/112 && (udp.dst == 53 || tcp.dst == 53)',
    'inport == "a.default" && eth.src == 0a:58:00:00:00:01',
    'inport == @node_node_1 && ip4.dst == $internal_ovn_cluster_ip4',
    'outport == @np_ns.name && ip && ct.new && !ct.est',
    '1023 < tcp.dst < 5000 || icmp4.type == 8',
    'ip4.src[0..7] == 0x0a && tcp.flags == 2',
    'ip.proto == 47',
    'arp || nd_ns',
    '1',
    '80 == tcp.dst',
    'is_chassis_resident("cr-x")',
    'ip6.dst == ::1',
  ])('reads %s', (match) => {
    expect(matchProblem(match)).toBeUndefined();
  });

  it.each([
    ['ip4.dst === 3', 'cannot read "= 3"'],
    ['ip4.dst == ', 'the end is not a value'],
    ['ip4.dest == 10.0.0.1', 'there is no field ip4.dest; there are ip4.src, ip4.dst'],
    ['tpc.dst == 80', 'there is no field tpc.dst (ovn-sb(5), Logical_Flow, lists them)'],
    ['tcp && udp || icmp', 'put parentheses where && and || are used together'],
    ['(tcp.dst == 80', ') is missing at the end'],
    ['tcp.dst == 80)', ') is not expected here'],
    ['tcp.dst == {80, 443', '} is missing at the end'],
    ['inport == a.default', 'a.default is not a value; names of ports stand in quotes'],
    ['inport == 10.0.0.1', 'inport is compared with a name in quotes or an @group'],
    ['ip4.src == fd00::1', 'fd00::1 is not an IPv4 address'],
    ['ip4.src == 10.0.0.300', '10.0.0.300 is not a value'],
    ['tcp.dst = 80', 'cannot read "= 80"'],
    ['!!ip4.mcast', 'two ! in a row'],
    ['ip4 && !tcp', 'tcp cannot be negated in OVN'],
    ['ip.proto != 6', 'ip.proto cannot be negated in OVN; write the values that shall match: ip.proto == {...}'],
    ['!(inport == "a")', 'inport cannot be negated in OVN'],
    ['ip.ttl < 5', 'ip.ttl has no order: compare it with =='],
    ['ip4.src == "10.0.0.1"', 'ip4.src is not compared with text'],
    ['80', '80 is compared with nothing'],
    ['', 'it ends too early'],
  ])('says what is wrong with %j', (match, problem) => {
    expect(matchProblem(match)).toContain(problem);
  });
});
