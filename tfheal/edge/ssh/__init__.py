"""The one door to SSH: a connection is opened in steps, each in its own file, and each with a time limit.

client_config  ~/.ssh/config with what it includes
route          what that and the inventory say of a slice: address, user, keys, jump hosts (fabric resolves it)
dial           a TCP connection or a tunnel through a jump host, tried again where that makes sense
place          who is at work, from a server's first word on, and how many may be
trust          which host key a server must show
login          keys: parsed once, from files and from the agent
session        the handshake, and the channels of one open connection (paramiko's Transport, lean)
opening        all of these in order; how many connections start at once is bounded
remote         the command around every script: the slice itself ends what outlives its time-out
execute        one exec: the script in, capped output back, one deadline over everything
mapping        every foreign exception becomes one of ours
transport      the port: connections reused within a run, and bounded
"""
