// An output-stationary systolic array, complete: sequencer, skew, array, de-skew, accumulators. Activations move right,
// weights move down, and the results of a fold leave when its stream has ended.
//
// Operands are taken from the buffers in the clock in which they are asked for. Cycle stamps: a fold's first result is
// out in the clock at whose end `result_valid` first rises for it.
module sa_output_stationary #(
    parameter int ROWS = 4,
    parameter int COLUMNS = 4,
    parameter int MOVING_BITS = 8,
    parameter bit MOVING_SIGNED = 1'b1,
    parameter int OTHER_BITS = 8,            // the operand that moves down
    parameter bit OTHER_SIGNED = 1'b1,
    parameter bit XNOR = 1'b0,               // operands are -1, 0 and +1, of 2 bits
    parameter int SUM_BITS = 32,             // of sums in the array
    parameter int ACCUMULATOR_BITS = 32,
    parameter bit SATURATE = 1'b0,
    parameter bit DOUBLE_BUFFERED = 1'b1,
    parameter bit SERIALIZE_SHORT_FOLDS = 1'b0,
    parameter int SHIFT_OUT = 1,             // results leave 0: over a bus, all at once; 1: down; 2: to the right
    parameter bit PRELOAD = 1'b0,            // initial sums are loaded before a fold, a row in each clock
    parameter int ROW_STEP = 1,              // clocks from a row to the next
    parameter int COLUMN_STEP = 1,           // clocks from a column to the next
    parameter int MULTIPLIER_LATENCY = 0,
    parameter int ACCUMULATE_LATENCY = 0,
    parameter int INPUT_LATENCY = 0,
    parameter int OUTPUT_LATENCY = 0,
    parameter int LENGTH_BITS = 16,
    parameter int ADDRESS_BITS = 10,
    localparam int ROW_BITS = $clog2(ROWS + 1),
    // Results that leave in one clock, and clocks until all of a fold have left.
    localparam int LANES = SHIFT_OUT == 0 ? ROWS * COLUMNS : SHIFT_OUT == 1 ? COLUMNS : ROWS,
    localparam int BEATS = SHIFT_OUT == 0 ? 1 : SHIFT_OUT == 1 ? ROWS : COLUMNS,
    localparam int COUNT_BITS = $clog2(ROWS * COLUMNS + LANES + 1)
) (
    input  wire                               clk,
    input  wire                               reset,
    input  wire                               fold_valid,
    output wire                               fold_ready,
    input  wire  [           LENGTH_BITS-1:0] fold_length,
    input  wire  [          ADDRESS_BITS-1:0] fold_address,     // of row 0's results (column 0's if they leave right)
    input  wire                               fold_accumulate,
    output wire                               load_enable,
    output wire  [              ROW_BITS-1:0] load_row,
    input  wire  [      COLUMNS*SUM_BITS-1:0] load_data,        // initial sums of a row, a column in each lane
    output wire                               stream_request,
    output wire  [           LENGTH_BITS-1:0] stream_index,
    input  wire                               stream_valid,
    input  wire  [      ROWS*MOVING_BITS-1:0] stream_data,      // a row of the array in each lane
    input  wire  [    COLUMNS*OTHER_BITS-1:0] other_data,       // a column of the array in each lane
    output wire                               enter_first,      // the first operand of a fold enters in this clock
    output wire                               result_valid,
    output wire                               result_last,      // of its fold
    input  wire  [          ADDRESS_BITS-1:0] read_address,
    output wire  [LANES*ACCUMULATOR_BITS-1:0] read_sums,
    output logic [            COUNT_BITS-1:0] overflows         // additions that did not fit, array and accumulators
);
    // From the clock after a fold's last operand until the last PE's sum has settled.
    localparam int SETTLE = INPUT_LATENCY + MULTIPLIER_LATENCY + ACCUMULATE_LATENCY + ROW_STEP * (ROWS - 1)
        + COLUMN_STEP * (COLUMNS - 1);
    // No stream is long enough to overflow a sum that starts from 0.
    localparam int PRODUCT_LOG2 = XNOR ? 0
        : MOVING_BITS - (MOVING_SIGNED ? 1 : 0) + OTHER_BITS - (OTHER_SIGNED ? 1 : 0);
    localparam bit EXACT = !PRELOAD && PRODUCT_LOG2 + LENGTH_BITS <= SUM_BITS - 1;

    wire load_last, load_bank, enter, enter_last, enter_bank, enter_accumulate;
    wire [ADDRESS_BITS-1:0] enter_address;
    sa_sequencer #(
        .LOAD_CYCLES          (PRELOAD ? ROWS : 0),
        .SHIFT_CYCLES         (SHIFT_OUT == 0 ? 0 : BEATS),
        .DOUBLE_BUFFERED      (DOUBLE_BUFFERED),
        .SERIALIZE_SHORT_FOLDS(SERIALIZE_SHORT_FOLDS),
        .LENGTH_BITS          (LENGTH_BITS),
        .ADDRESS_BITS         (ADDRESS_BITS),
        .ROW_BITS             (ROW_BITS)
    ) sequencer (
        .clk             (clk),
        .reset           (reset),
        .fold_valid      (fold_valid),
        .fold_ready      (fold_ready),
        .fold_length     (fold_length),
        .fold_address    (fold_address),
        .fold_accumulate (fold_accumulate),
        .load_enable     (load_enable),
        .load_row        (load_row),
        .load_last       (load_last),
        .load_bank       (load_bank),
        .stream_request  (stream_request),
        .stream_index    (stream_index),
        .stream_valid    (stream_valid),
        .enter           (enter),
        .enter_first     (enter_first),
        .enter_last      (enter_last),
        .enter_bank      (enter_bank),
        .enter_address   (enter_address),
        .enter_accumulate(enter_accumulate),
        .results_out     (result_valid && result_last)
    );

    // Bubbles are zeros: they add nothing.
    wire [1:0] load_in = DOUBLE_BUFFERED ? {load_last && load_bank, load_last && !load_bank} : {1'b0, load_enable};
    wire [1:0] load_entered;
    wire [COLUMNS*SUM_BITS-1:0] initial_entered;
    wire [ROWS*MOVING_BITS-1:0] moving_entered;
    wire [COLUMNS*OTHER_BITS-1:0] other_entered;
    wire [2:0] control_entered;
    sa_delay #(
        .BITS  (2 + COLUMNS * SUM_BITS),
        .CYCLES(INPUT_LATENCY)
    ) load_entry (
        .clk(clk),
        .in ({load_in, load_data}),
        .out({load_entered, initial_entered})
    );
    sa_delay #(
        .BITS  (3 + ROWS * MOVING_BITS + COLUMNS * OTHER_BITS),
        .CYCLES(INPUT_LATENCY)
    ) stream_entry (
        .clk(clk),
        .in ({enter_bank, enter_last, enter_first,
              enter ? {stream_data, other_data} : {ROWS * MOVING_BITS + COLUMNS * OTHER_BITS{1'b0}}}),
        .out({control_entered, moving_entered, other_entered})
    );

    // Double buffered, initial sums travel in the wave's own skew; otherwise all columns load in step.
    localparam int LOAD_STEP = DOUBLE_BUFFERED ? COLUMN_STEP : 0;
    wire [COLUMNS*SUM_BITS-1:0] initial_skewed;
    wire [2*COLUMNS-1:0] load_skewed;
    wire [ROWS*MOVING_BITS-1:0] moving_skewed;
    wire [3*ROWS-1:0] control_skewed;
    wire [COLUMNS*OTHER_BITS-1:0] other_skewed;
    sa_skew #(
        .LANES(COLUMNS),
        .BITS (SUM_BITS),
        .STEP (LOAD_STEP)
    ) initial_skew (
        .clk(clk),
        .in (initial_entered),
        .out(initial_skewed)
    );
    sa_skew #(
        .LANES(COLUMNS),
        .BITS (2),
        .STEP (LOAD_STEP)
    ) load_skew (
        .clk(clk),
        .in ({COLUMNS{load_entered}}),
        .out(load_skewed)
    );
    sa_skew #(
        .LANES(ROWS),
        .BITS (MOVING_BITS),
        .STEP (ROW_STEP)
    ) moving_skew (
        .clk(clk),
        .in (moving_entered),
        .out(moving_skewed)
    );
    sa_skew #(
        .LANES(ROWS),
        .BITS (3),
        .STEP (ROW_STEP)
    ) control_skew (
        .clk(clk),
        .in ({ROWS{control_entered}}),
        .out(control_skewed)
    );
    sa_skew #(
        .LANES(COLUMNS),
        .BITS (OTHER_BITS),
        .STEP (COLUMN_STEP)
    ) other_skew (
        .clk(clk),
        .in (other_entered),
        .out(other_skewed)
    );

    // The results of a fold leave in BEATS clocks, the row (or column) nearest to the edge first.
    localparam int BEAT_BITS = $clog2(BEATS + 1);
    logic [BEAT_BITS-1:0] beats_left;
    logic [ADDRESS_BITS-1:0] leave_address;
    logic leave_accumulate;
    always_ff @(posedge clk) begin
        if (reset) beats_left <= '0;
        else if (enter_last) beats_left <= BEAT_BITS'(BEATS);
        else if (beats_left != '0) beats_left <= beats_left - 1'b1;
        if (enter_last) begin
            leave_address <= enter_address;
            leave_accumulate <= enter_accumulate;
        end
    end
    wire [BEAT_BITS-1:0] beat = beats_left - 1'b1;
    wire [ADDRESS_BITS-1:0] beat_address = leave_address + ADDRESS_BITS'(beat);
    wire leaves, leaves_last, leaves_accumulate;
    wire [ADDRESS_BITS-1:0] leaves_address;
    sa_valid_delay #(
        .BITS  (ADDRESS_BITS + 2),
        .CYCLES(SETTLE)
    ) settle (
        .clk      (clk),
        .reset    (reset),
        .valid_in (beats_left != '0),
        .in       ({beat == '0, leave_accumulate, beat_address}),
        .valid_out(leaves),
        .out      ({leaves_last, leaves_accumulate, leaves_address})
    );

    wire [LANES*SUM_BITS-1:0] results_skewed, results_aligned, results;
    wire [COUNT_BITS-1:0] array_overflows, accumulator_overflows;
    sa_array_result_stays #(
        .ROWS              (ROWS),
        .COLUMNS           (COLUMNS),
        .MOVING_BITS       (MOVING_BITS),
        .MOVING_SIGNED     (MOVING_SIGNED),
        .OTHER_BITS        (OTHER_BITS),
        .OTHER_SIGNED      (OTHER_SIGNED),
        .XNOR              (XNOR),
        .SUM_BITS          (SUM_BITS),
        .SATURATE          (SATURATE),
        .EXACT             (EXACT),
        .DOUBLE_BUFFERED   (DOUBLE_BUFFERED),
        .SHIFT_OUT         (SHIFT_OUT),
        .PRELOAD           (PRELOAD),
        .ROW_STEP          (ROW_STEP),
        .COLUMN_STEP       (COLUMN_STEP),
        .MULTIPLIER_LATENCY(MULTIPLIER_LATENCY),
        .ACCUMULATE_LATENCY(ACCUMULATE_LATENCY),
        .COUNT_BITS        (COUNT_BITS)
    ) array (
        .clk         (clk),
        .reset       (reset),
        .moving      (moving_skewed),
        .control     (control_skewed),
        .other       (other_skewed),
        .initial_sums(initial_skewed),
        .load        (load_skewed),
        .shift       (leaves),
        .results     (results_skewed),
        .overflows   (array_overflows)
    );

    // Behind the wave results leave skewed; those that wait for the last PE leave in step, through an edge register.
    genvar i;
    generate
        for (i = 0; i < LANES; i = i + 1) begin : g_align
            localparam int ROWS_EARLY = SHIFT_OUT == 0 ? ROWS - 1 - i / COLUMNS : SHIFT_OUT == 2 ? ROWS - 1 - i : 0;
            localparam int COLUMNS_EARLY =
                SHIFT_OUT == 0 ? COLUMNS - 1 - i % COLUMNS : SHIFT_OUT == 1 ? COLUMNS - 1 - i : 0;
            sa_delay #(
                .BITS  (SUM_BITS),
                .CYCLES(DOUBLE_BUFFERED ? ROW_STEP * ROWS_EARLY + COLUMN_STEP * COLUMNS_EARLY : SHIFT_OUT == 0 ? 0 : 1)
            ) lane (
                .clk(clk),
                .in (results_skewed[i*SUM_BITS+:SUM_BITS]),
                .out(results_aligned[i*SUM_BITS+:SUM_BITS])
            );
        end
    endgenerate
    sa_delay #(
        .BITS  (LANES * SUM_BITS),
        .CYCLES(OUTPUT_LATENCY)
    ) leave (
        .clk(clk),
        .in (results_aligned),
        .out(results)
    );
    wire result_accumulate;
    wire [ADDRESS_BITS-1:0] result_address;
    sa_valid_delay #(
        .BITS  (ADDRESS_BITS + 2),
        .CYCLES((SHIFT_OUT == 0 ? 0 : 1) + OUTPUT_LATENCY)
    ) beside (
        .clk      (clk),
        .reset    (reset),
        .valid_in (leaves),
        .in       ({leaves_last, leaves_accumulate, leaves_address}),
        .valid_out(result_valid),
        .out      ({result_last, result_accumulate, result_address})
    );

    sa_accumulators #(
        .LANES       (LANES),
        .SUM_BITS    (SUM_BITS),
        .BITS        (ACCUMULATOR_BITS),
        .SATURATE    (SATURATE),
        .ADDRESS_BITS(ADDRESS_BITS),
        .COUNT_BITS  (COUNT_BITS)
    ) accumulators (
        .clk         (clk),
        .valid       (result_valid),
        .address     (result_address),
        .accumulate  (result_accumulate),
        .sums        (results),
        .overflows   (accumulator_overflows),
        .read_address(read_address),
        .read_sums   (read_sums)
    );
    always_ff @(posedge clk) overflows <= reset ? '0 : array_overflows + accumulator_overflows;
endmodule
