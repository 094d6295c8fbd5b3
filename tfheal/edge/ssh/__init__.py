"""The one door to SSH: a connection is opened in steps, each in its own file, and each with a time limit.

route     what the inventory and ~/.ssh/config say of a slice: addresses, users, keys, jump hosts (fabric resolves it)
dial      a TCP connection or a tunnel through a jump host, tried again where that makes sense
session   the handshake, the pinned host key, and the channels of one open connection (paramiko's Transport, lean)
login     keys: parsed once, from files and from the agent
remote    the command around every script: it ends what outlives its time-out, on the slice
execute   one exec: the script in, capped output back, one deadline over everything
mapping   every foreign exception becomes one of ours
transport the port: connections reused within a run and bounded
"""
