# Adds or deletes a challenge as certbot's dns-rfc2136 does: HOST PORT KEY SECRET add|delete NAME VALUE
import sys

import dns.tsig
from certbot_dns_rfc2136._internal.dns_rfc2136 import _RFC2136Client

host, port, key, secret, verb, name, value = sys.argv[1:]
client = _RFC2136Client(host, int(port), key, secret, dns.tsig.HMAC_SHA256)
if verb == "add":
    client.add_txt_record(name, value, 120)
else:
    client.del_txt_record(name, value)
