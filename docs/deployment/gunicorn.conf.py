# /srv/hg/gunicorn.conf.py

bind = 'unix:/run/hg/hgweb.socket'
# As many processes as the machine has cores, and threads for those requests
# that wait for a disk, a database or a client.
workers = 2
threads = 4
# seconds that a process may be silent before another takes its place
timeout = 600
# newer releases put another socket into the home folder
control_socket_disable = True
