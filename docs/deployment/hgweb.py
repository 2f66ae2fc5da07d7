"""/srv/hg/hgweb.py: what gunicorn or uwsgi runs behind nginx or Apache."""

from mercurial.hgweb import hgweb

hg = hgweb(b'/srv/hg/hgweb.config')


def application(environ, respond):
    """Answer a request of the web server in front, who alone can reach this:
    it does TLS, and replaces what a client says of ``Hguser``.

    The name has no dash, as WSGI cannot tell one from an underscore, and a
    web server in front may let the other one pass.
    """
    environ['wsgi.url_scheme'] = 'https'
    environ['REMOTE_USER'] = environ.get('HTTP_HGUSER', '')
    return hg(environ, respond)
