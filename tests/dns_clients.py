"""Asks a repoint server with dnspython, and checks what an independent client sees.

usage: dns_clients.py HOST PORT     (the zone is the one in dns_clients.rs)
Prints one line per rule; exits with 1 at the first that does not hold.
"""

import socket
import struct
import sys

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.query
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.zone

HOST, PORT = sys.argv[1], int(sys.argv[2])
PATIENCE = 20


def udp(query):
    return dns.query.udp(query, HOST, timeout=PATIENCE, port=PORT, raise_on_truncation=False)


def tcp(query):
    return dns.query.tcp(query, HOST, timeout=PATIENCE, port=PORT)


def ask(name, rtype, **options):
    return udp(dns.message.make_query(name, rtype, **options))


def lines(section):
    return sorted(line for rrset in section for line in rrset.to_text().split("\n"))


def rule(text, holds, seen=""):
    print(("ok      " if holds else "BROKEN  ") + text)
    if not holds:
        print(seen)
        sys.exit(1)


def is_authoritative(response):
    return bool(response.flags & dns.flags.AA)


SOA_TTL = 30

r = ask("_xmpp-server._tcp.contoso.example.", "SRV")
rule("SRV records come with authority, in full",
     is_authoritative(r) and lines(r.answer) == [
         "_xmpp-server._tcp.contoso.example. 30 IN SRV 10 0 5269 edge1.contoso.example.",
         "_xmpp-server._tcp.contoso.example. 30 IN SRV 20 0 5269 edge2.contoso.example."], r)
rule("every SRV target has its addresses added",
     lines(r.additional) == [
         "edge1.contoso.example. 30 IN A 192.0.2.10",
         "edge1.contoso.example. 30 IN AAAA 2001:db8::10",
         "edge2.contoso.example. 30 IN A 198.51.100.10"], r)

r = ask("edge1.contoso.example.", "MX")
rule("no data: NOERROR with the SOA at the negative TTL",
     r.rcode() == 0 and is_authoritative(r) and not r.answer
     and r.authority[0].rdtype == dns.rdatatype.SOA and r.authority[0].ttl == SOA_TTL, r)
r = ask("nothing.edge1.contoso.example.", "A")
rule("no such name: NXDOMAIN with the SOA at the negative TTL",
     r.rcode() == 3 and is_authoritative(r) and r.authority[0].ttl == SOA_TTL, r)
r = ask("_tcp.contoso.example.", "A")
rule("an empty non-terminal is no data, not NXDOMAIN", r.rcode() == 0 and len(r.authority) == 1, r)
r = ask("any.thing.wild.contoso.example.", "TXT")
rule("a wildcard answers for the name asked",
     lines(r.answer) == ['any.thing.wild.contoso.example. 3600 IN TXT "wild"'], r)
r = ask("there.wild.contoso.example.", "TXT")
rule("a wildcard does not answer for a name that is there", r.rcode() == 0 and not r.answer, r)
r = ask("www.contoso.example.", "A")
rule("an alias is followed",
     lines(r.answer) == ["edge2.contoso.example. 30 IN A 198.51.100.10",
                         "www.contoso.example. 3600 IN CNAME edge2.contoso.example."], r)
r = ask("a.b.child.contoso.example.", "A")
rule("below a delegation: a referral with glue, without authority",
     not is_authoritative(r) and not r.answer
     and lines(r.authority) == ["child.contoso.example. 3600 IN NS ns.child.contoso.example."]
     and lines(r.additional) == ["ns.child.contoso.example. 3600 IN A 203.0.113.53"], r)
r = ask("child.contoso.example.", "DS")
rule("DS at a delegation is the parent's to answer",
     is_authoritative(r) and r.answer[0].rdtype == dns.rdatatype.DS, r)
r = ask("contoso.example.", "ANY")
rule("ANY is answered with one RRset", len(r.answer) == 1, r)

r = ask("edge1.contoso.org.", "A")
rule("names of others are refused", r.rcode() == dns.rcode.REFUSED and not is_authoritative(r), r)
r = ask("version.bind.", "TXT", rdclass="CH")
rule("other classes are refused", r.rcode() == dns.rcode.REFUSED, r)
r = ask("contoso.example.", "AXFR")
rule("transfers are refused over UDP", r.rcode() == dns.rcode.REFUSED, r)
try:
    dns.zone.from_xfr(dns.query.xfr(HOST, "contoso.example.", port=PORT, timeout=PATIENCE))
    rule("transfers are refused over TCP", False)
except dns.query.TransferError as error:
    rule("transfers are refused over TCP", error.rcode == dns.rcode.REFUSED, error)
query = dns.message.make_query("contoso.example.", "SOA")
query.set_opcode(dns.opcode.NOTIFY)
rule("other operations are not implemented", udp(query).rcode() == dns.rcode.NOTIMP)

r = ask("edge1.contoso.example.", "A", use_edns=0, payload=4096)
rule("EDNS is answered with EDNS, our size 1232", r.edns == 0 and r.payload == 1232, r)
rule("without EDNS there is none in the answer", ask("edge1.contoso.example.", "A").edns == -1)
query = dns.message.make_query("edge1.contoso.example.", "A", use_edns=0)
query.ednsflags |= 1 << 16
r = udp(query)
rule("an unknown EDNS version is BADVERS", r.rcode() == dns.rcode.BADVERS and r.edns == 0, r)
unknown = dns.edns.GenericOption(65001, b"whatever")
r = ask("edge1.contoso.example.", "A", use_edns=0, options=[unknown])
rule("unknown options are ignored", r.rcode() == 0 and len(r.answer) == 1 and not r.options, r)
r = ask("edge1.contoso.example.", "A", want_dnssec=True)
rule("DO is echoed", bool(r.ednsflags & dns.flags.DO), r)

r = ask("large.contoso.example.", "TXT", use_edns=0, payload=4096)
rule("what does not fit is truncated, not cut", bool(r.flags & dns.flags.TC) and not r.answer, r)
r = tcp(dns.message.make_query("large.contoso.example.", "TXT"))
rule("and comes whole over TCP", len(r.answer[0]) == 30 and not r.flags & dns.flags.TC, r)
query = dns.message.make_query("large.contoso.example.", "TXT", use_edns=0)
r, went_over_tcp = dns.query.udp_with_fallback(query, HOST, timeout=PATIENCE, port=PORT)
rule("a client falls back by itself", went_over_tcp and len(r.answer[0]) == 30, r)

name = dns.name.from_text("EdGe1.cOnToSo.eXaMpLe.")
r = ask(name, "A")
rule("the question keeps its case",
     r.question[0].name.to_text() == "EdGe1.cOnToSo.eXaMpLe."
     and r.answer[0].name.to_text() == "EdGe1.cOnToSo.eXaMpLe.", r)
query = dns.message.make_query("edge1.contoso.example.", "A")
query.flags |= dns.flags.RD | dns.flags.CD | dns.flags.AD
r = udp(query)
rule("RD is copied; RA, AD and CD are clear",
     r.flags & (dns.flags.RD | dns.flags.RA | dns.flags.AD | dns.flags.CD) == dns.flags.RD, r)

wire = bytearray(dns.message.make_query("edge1.contoso.example.", "A", use_edns=0).to_wire())
sock = socket.socket(socket.AF_INET6 if ":" in HOST else socket.AF_INET, socket.SOCK_DGRAM)
sock.settimeout(PATIENCE)
sock.connect((HOST, PORT))
sock.send(bytes(wire[:-3]))
r = dns.message.from_wire(sock.recv(4096))
rule("what is cut short is a format error", r.rcode() == dns.rcode.FORMERR, r)
two = dns.message.make_query("edge1.contoso.example.", "A")
two.question.append(two.question[0])
sock.send(two.to_wire())
r = dns.message.from_wire(sock.recv(4096))
rule("two questions are a format error", r.rcode() == dns.rcode.FORMERR, r)
response = bytearray(wire)
response[2] |= 0x80
sock.send(bytes(response))
sock.send(bytes(wire))
r = dns.message.from_wire(sock.recv(4096))
rule("a response is not answered, the query after it is", r.rcode() == 0 and len(r.answer) == 1, r)

stream = socket.create_connection((HOST, PORT), timeout=PATIENCE)
wanted = []
for n in range(50):
    query = dns.message.make_query("edge1.contoso.example.", "A", id=n)
    wire = query.to_wire()
    stream.sendall(struct.pack("!H", len(wire)) + wire)
    wanted.append(n)
seen = []
reader = stream.makefile("rb")
for _ in wanted:
    (length,) = struct.unpack("!H", reader.read(2))
    seen.append(dns.message.from_wire(reader.read(length)).id)
rule("pipelined questions are answered in order", seen == wanted, seen)
