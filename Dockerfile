# The app on a CPU:
#   docker build -t rotomask .
#   docker run --rm -p 127.0.0.1:8000:8000 -v "$PWD/data:/data" rotomask
# The link that it prints opens the page. Commands work, too:
#   docker run --rm -v "$PWD:/work" rotomask rotomask cut clip.mp4 --point 334,163
FROM python:3.11-slim
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE LICENCES.md CHANGELOG.md ./
COPY src ./src
# torch from the CPU index, so that CUDA is not downloaded; the versions are those that were tested.
RUN pip install --no-cache-dir -c constraints.txt --extra-index-url https://download.pytorch.org/whl/cpu '.[app,exr]' \
 && rm -rf /src \
 && useradd --create-home rotomask \
 && mkdir /data /work && chown rotomask /data /work
USER rotomask
WORKDIR /work
VOLUME /data
EXPOSE 8000
CMD ["rotomask", "app", "--host", "0.0.0.0", "--port", "8000", "--name", "localhost", "--data", "/data", "--no-open"]
