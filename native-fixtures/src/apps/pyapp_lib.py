"""pyapp's module: it finds its own data beside itself."""
import os

HERE = os.path.dirname(os.path.abspath(__file__))


def greeting():
    with open(os.path.join(HERE, 'pyapp_lib.txt'), encoding='utf-8') as text:
        return text.read().strip()
