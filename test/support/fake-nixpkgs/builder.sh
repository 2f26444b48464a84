export PATH=/usr/bin:/bin
if [ -e "$NIX_BUILD_TOP/.attrs.sh" ]; then
  . "$NIX_BUILD_TOP/.attrs.sh"
  out=${outputs[out]}
fi
export out
for input in "${nativeBuildInputs[@]}"; do PATH=$input/bin:$PATH; done
eval "$buildCommand"
